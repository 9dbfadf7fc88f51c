FROM a
RUN --mount=type=cache,target=/x,uid=me make
