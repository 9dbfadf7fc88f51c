FROM a
COPY --unpack x y
