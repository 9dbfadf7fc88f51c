FROM a
RUN --mount=type=cache,targt=/x make
