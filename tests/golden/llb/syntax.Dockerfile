# syntax=docker.io/docker/dockerfile-upstream:master-labs@sha256:0000000000000000000000000000000000000000000000000000000000000000 arg
# escape=`
FROM base:1
RUN echo c:\dir\ `
    and more
COPY a c:\dir\b\
WORKDIR c:\work
ENV path=c:\a`$x
