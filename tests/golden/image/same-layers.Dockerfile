FROM scratch
COPY one.txt /
COPY one.txt /
COPY dir /d
COPY dir /d
WORKDIR /d
