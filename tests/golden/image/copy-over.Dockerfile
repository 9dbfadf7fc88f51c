FROM scratch
COPY dir /d
COPY --chmod=777 one.txt /d/in.txt
COPY --chown=1:2 src/lib /d/sub
COPY to-one /l/to-one
COPY two.txt /l/to-one
COPY one.txt /d/sub/deep
