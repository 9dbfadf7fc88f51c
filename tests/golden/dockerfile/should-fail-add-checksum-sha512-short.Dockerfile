FROM scratch
ADD --checksum=sha512:0123456789abcdef https://h.example/x /
