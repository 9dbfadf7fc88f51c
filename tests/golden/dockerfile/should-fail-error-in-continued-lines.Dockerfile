FROM a
RUN --mount=type=cache,target=/a \
    # why
    --mount=type=secret \
    make
USER x
