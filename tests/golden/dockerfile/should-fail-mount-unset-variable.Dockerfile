FROM a
RUN --mount=type=cache,target=${D:?has-no-directory} true
