FROM scratch AS bad
RUN --mount=type=tmp,x=y true
FROM scratch
