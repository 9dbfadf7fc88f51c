FROM a
COPY --checksum=sha256:0 x y
