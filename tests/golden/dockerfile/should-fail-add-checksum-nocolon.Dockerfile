FROM scratch
ADD --checksum=foo https://h.example/x /
