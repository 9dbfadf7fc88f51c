FROM a
RUN --mount=type=cache,target make
