FROM a
RUN --mount=target=/x,sharing=shared make
