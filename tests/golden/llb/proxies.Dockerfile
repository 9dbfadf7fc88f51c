# test: build-arg=HTTP_PROXY=http://p build-arg=no_proxy=localhost
FROM base:1
RUN a
