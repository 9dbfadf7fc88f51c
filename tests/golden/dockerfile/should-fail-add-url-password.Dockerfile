FROM scratch
ADD https://user:secret@h.example/x /
