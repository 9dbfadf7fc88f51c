FROM scratch
COPY one.txt .
COPY one.txt /new/name
COPY one.txt two.txt /several/
COPY dir /content
COPY dir/. /content-with-dot
COPY dir/ /content-with-slash/
COPY ./src/../exec.sh bin/run
COPY ["one.txt", "/a name/"]
