FROM scratch AS a
ONBUILD COPY --from=b / /
FROM a AS b
