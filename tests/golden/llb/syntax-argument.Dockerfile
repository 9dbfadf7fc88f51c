# syntax=example.com/another:1
# test: build-arg=BUILDKIT_SYNTAX=docker/dockerfile:1-labs
FROM base:1
