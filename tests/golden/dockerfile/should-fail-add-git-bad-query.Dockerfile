FROM scratch
ADD https://h.example/x.git?depth=1 /
