FROM a
COPY --chmod=99999 x y
