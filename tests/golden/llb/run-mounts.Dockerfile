# test: cache-ns=proj network=host hostname=here
FROM alpine AS tools
FROM base:1
WORKDIR /src
ARG DIR=/cache/dir
RUN --mount=type=bind,source=a,target=/a --mount=from=tools,src=/bin,dst=/b,rw \
    --mount=type=cache,id=x,target=$DIR,uid=1000,mode=0700,sharing=private \
    --mount=type=cache,target=rel/./c,from=busybox,source=/etc \
    --mount=type=tmpfs,target=/tmp,size=64m \
    --mount=type=secret,id=tok \
    --mount=type=secret,id=pass,env=PASS,required \
    --mount=type=secret,target=/k/key,mode=0440,uid=3 use $PASS ${DIR}
RUN --network=none ["true"]
