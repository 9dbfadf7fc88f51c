FROM scratch
COPY --chmod=0640 one.txt dir /octal/
COPY --chmod=6755 exec.sh /bits/run
COPY --chmod=u=rwX,go=rX priv /letters
COPY --chmod=go-rwx,u-s two.txt /less/
COPY --chmod=a+X,o=u-w dir /copied
COPY --chmod=+t src/lib /sticky
ADD --chmod=600 one.txt /added
