FROM scratch
RUN --mount=type=tmp true
