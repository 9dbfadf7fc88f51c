FROM a
COPY --chmod=64a x y
