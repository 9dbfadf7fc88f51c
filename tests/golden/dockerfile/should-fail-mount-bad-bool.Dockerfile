FROM a
RUN --mount=target=/x,ro=maybe make
