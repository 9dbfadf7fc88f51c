ARG P=linux/
FROM --platform=$P a
