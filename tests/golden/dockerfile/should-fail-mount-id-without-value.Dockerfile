FROM a
RUN --mount=type=cache,target=/x,id true
