FROM a
RUN --mount=type=cache,target=/x,foo true
