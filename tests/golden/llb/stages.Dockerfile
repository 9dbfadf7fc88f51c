# test: target=final platform=linux/arm64 multi-platform no-cache
ARG BASE=one
FROM --platform=$BUILDPLATFORM golang:1 AS One
ARG TARGETARCH
RUN build $TARGETARCH
FROM unused AS unused
RUN never
FROM ${BASE} AS two
RUN two
FROM empty:1 AS final
COPY --from=0 /a /b
COPY --from=TWO /c .
FROM missing
