FROM scratch
MAINTAINER Some One <one@example.com>
EXPOSE 80 443/tcp 53/udp 8000-8002
VOLUME /data /cache
VOLUME ["/with space"]
USER 1:2
STOPSIGNAL 9
