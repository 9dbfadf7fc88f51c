# test: target=b
FROM alpine AS missing-a
FROM missing-b AS b
