# test: context=alpine=docker-image://golang:1.21 context=busybox:1=oci-layout://one@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 context=repo=https://example.com/r.git#main:sub context=file=https://example.com/x.tar context=nothing=docker-image://scratch context=scratch=local:no context=context=local:no
FROM alpine:latest
COPY --from=docker.io/library/busybox:1 /bin /bin
COPY --from=repo . /repo/
COPY --from=file /context /file
COPY --from=nothing --parents / /n/
COPY --from=scratch / /
COPY own /
