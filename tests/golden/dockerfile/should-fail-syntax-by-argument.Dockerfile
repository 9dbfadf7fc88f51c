# syntax=docker/dockerfile:1
# test: build-arg=BUILDKIT_SYNTAX=example.com/frontend
FROM a
