# test: target=a
FROM alpine AS a
RUN --mount=from=b,target=/x make
FROM alpine AS b
