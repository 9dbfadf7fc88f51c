FROM scratch
ADD --checksum=aa https://h.example/x https://h.example/y /
