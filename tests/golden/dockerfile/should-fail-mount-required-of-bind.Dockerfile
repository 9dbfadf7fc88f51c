FROM a
RUN --mount=target=/x,required true
