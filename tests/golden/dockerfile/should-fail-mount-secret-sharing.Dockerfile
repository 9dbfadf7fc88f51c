FROM a
RUN --mount=type=secret,id=x,sharing=locked true
