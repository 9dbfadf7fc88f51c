FROM scratch
ADD a.tar /plain/
ADD a.tgz one.txt /gzip/
ADD --unpack=false a.tar /kept/
ADD --unpack a.tgz /unpacked
COPY a.tar /copied/
ADD a.tar /
