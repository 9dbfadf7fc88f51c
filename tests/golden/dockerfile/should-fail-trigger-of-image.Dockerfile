FROM scratch
COPY a b
FROM bad-trigger:1
