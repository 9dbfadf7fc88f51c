FROM a
RUN --mount=target=/x,uid=1 make
