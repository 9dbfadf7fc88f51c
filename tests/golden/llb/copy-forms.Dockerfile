# test: build-arg=V=1.2
FROM base:1
ARG V
WORKDIR /w
COPY --chown=me:us --chmod=0644 a b*/ /dst/
COPY --chmod=u=rwX,go= ["with space", "dir"]
ADD app-$V.tar.gz /
ADD --unpack=false x.tar ..
COPY --from=busybox:1 /bin/busybox /bin/
COPY --exclude=*.md --exclude=docs --parents src/./a/b.c src/**/*.h /out/
COPY <<EOF <<'RAW' /etc/
version $V "$V" '$V'
EOF
not $V
RAW
COPY --link sub/ .
