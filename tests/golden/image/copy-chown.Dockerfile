FROM scratch
COPY passwd group /etc/
COPY --chown=app one.txt /app/f
COPY --chown=app:web dir /app/dir
COPY --chown=:web one.txt /web
COPY --chown=5 one.txt /number
COPY --chown=5:app one.txt /no-such-group
COPY --chown=root:6 to-one /links/
ADD --chown=9:10 a.tar /archive/
