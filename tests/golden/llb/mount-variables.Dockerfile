# test: build-arg=WHERE=given
FROM alpine AS tools
FROM base:1
ARG WHERE=default TYPE=cache SIZE=5m ID=1000 RO=true
ARG UNSET
ENV HERE=/here
WORKDIR /work
RUN --mount=type=$TYPE,id=${WHERE}-x,target=${HERE}/c,uid=$ID,gid=${ID#1},mode=0${ID%000}77,sharing=${UNSET:-locked} \
    --mount=type=tmp${UNSET:-fs},size=$SIZE,target=tmp \
    --mount=from=tools,src=${HERE%/*}/bin,dst=$HERE,ro=$RO \
    --mount=type=secret,id=$WHERE,target=~/$HOME/key,env=${WHERE/g/G}_KEY,required=$RO true
