FROM a
RUN --mount=target=/x,rw=maybe true
