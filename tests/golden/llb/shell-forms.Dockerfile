FROM base:1
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
RUN a | b
RUN <<EOF
one
two
EOF
RUN <<EOF cat > x
text
EOF
RUN ["no", "shell"]
CMD run it
ENTRYPOINT start it
HEALTHCHECK --interval=1m30s --timeout=10s --start-period=2h --start-interval=1ms --retries=5 CMD curl -f x || exit 1
FROM base:1
ENTRYPOINT ["new"]
FROM base:1
CMD ["kept"]
ENTRYPOINT ["new"]
HEALTHCHECK CMD ["curl", "x"]
FROM base:1
HEALTHCHECK NONE
STOPSIGNAL rtmin+3
EXPOSE 80 443/TCP 8000-8002/udp 53/udp 9000/sctp
COPY --from=0 / /a
COPY --from=1 / /b
COPY --from=2 / /c
