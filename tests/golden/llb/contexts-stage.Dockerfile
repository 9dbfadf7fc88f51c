# test: context=dep=local:dep context=tool=docker-image://golang:1.21 context=base::linux/amd64=local:base context=base=docker-image://other
FROM busybox AS dep
RUN never
FROM busybox AS tool
COPY never /
FROM base
COPY --from=dep a/b c* /x/
COPY --from=tool /go /go
RUN --mount=from=dep,source=z,target=/z --mount=type=cache,from=dep,source=q,target=/cache x
FROM dep
RUN on-a-tree
COPY --from=2 / /all/
