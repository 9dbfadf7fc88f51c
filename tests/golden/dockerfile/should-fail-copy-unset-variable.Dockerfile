FROM a
COPY ${SRC:?which-source} y
