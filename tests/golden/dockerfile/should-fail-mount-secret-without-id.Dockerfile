FROM a
RUN --mount=type=secret make
