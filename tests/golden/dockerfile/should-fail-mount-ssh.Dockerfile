FROM a
RUN --mount=type=ssh git clone x
