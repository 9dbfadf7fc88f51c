FROM alpine AS a
COPY --from=b /x /y
FROM a AS b
