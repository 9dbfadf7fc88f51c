FROM alpine
COPY --from=missing:2 /x /y
