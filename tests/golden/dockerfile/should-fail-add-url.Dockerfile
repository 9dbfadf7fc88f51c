FROM a
ADD https://example.com/x.tar.gz /
