FROM scratch
COPY to-one /named/
COPY to-dir /content
COPY to-dir/in.txt to-dir/up /through/
COPY t* /matched/
COPY dir /kept/
