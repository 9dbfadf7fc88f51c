# What a base image, and what an earlier stage, keep for those that begin with them.
FROM golang:1 AS tools
RUN make /t

FROM trigger:1 AS mine
ONBUILD WORKDIR /w
ONBUILD COPY --link <<F <<G .
f
F
g
G
ENV A=1

FROM mine
RUN after
