# test: shm-size=67108864 cgroup-parent=/builds
FROM alpine AS tools
FROM base:1
RUN --mount=type=ssh --mount=type=ssh,id=b,target=/b.sock,required,uid=1,gid=2,mode=0666 git clone
RUN --mount=type=ssh,target=rel.sock ["x"]
RUN --mount=type=tmpfs,target=/dev/shm x
ENV SSH_AUTH_SOCK=/mine
RUN --mount=type=ssh,id=c --security=insecure x
RUN --security=sandbox --network=host --device=vendor.com/gpu=all --device=name=a/b=c,required=false x
RUN --network=default x
