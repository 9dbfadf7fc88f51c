FROM a
RUN --mount=type=cache,target=/x,sharing=lock make
