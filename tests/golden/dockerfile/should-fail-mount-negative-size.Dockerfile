FROM a
RUN --mount=type=tmpfs,size=-5m,target=/x true
