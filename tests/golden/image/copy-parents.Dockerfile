FROM scratch
COPY --parents src/lib/lib.c /
COPY --parents src/./lib/*.h /pivot/
COPY --parents **/*.txt /deep/
COPY --parents --exclude=src/lib src /out/
WORKDIR /w
COPY --parents priv/inner ./
