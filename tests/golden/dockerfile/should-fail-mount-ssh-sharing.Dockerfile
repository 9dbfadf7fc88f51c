FROM a
RUN --mount=type=ssh,sharing=shared true
