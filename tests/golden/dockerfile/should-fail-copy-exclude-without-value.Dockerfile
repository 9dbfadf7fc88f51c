FROM a
COPY --exclude x y
