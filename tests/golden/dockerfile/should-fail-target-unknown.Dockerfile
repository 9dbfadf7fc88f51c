# test: target=bulder
FROM a AS builder
