FROM a
RUN --mount=type=cache,size=5m,target=/x true
