FROM a
COPY --parents=maybe x y
