FROM scratch
ADD --checksum=aa https://h.example/x.git?checksum=bb /
