FROM a
RUN <<EOF
make

USER x
