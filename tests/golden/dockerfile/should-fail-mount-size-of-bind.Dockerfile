FROM a
RUN --mount=target=/x,size=1m make
