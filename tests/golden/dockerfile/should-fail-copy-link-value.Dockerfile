FROM a
COPY --link=maybe x y
