ARG S=a
FROM alpine
COPY --from=$S /x /y
