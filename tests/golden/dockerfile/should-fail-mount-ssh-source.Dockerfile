FROM a
RUN --mount=type=ssh,source=/x true
