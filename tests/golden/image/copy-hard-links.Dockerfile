FROM scratch AS one
COPY src /src
COPY src/main.c src/hard.c /pair/
FROM scratch
COPY --from=one / /
