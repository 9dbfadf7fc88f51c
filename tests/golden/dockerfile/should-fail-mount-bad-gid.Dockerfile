FROM a
RUN --mount=type=cache,target=/x,gid=a true
