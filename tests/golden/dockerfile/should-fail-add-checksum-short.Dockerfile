FROM scratch
ADD --checksum=sha256:12 https://h.example/x /
