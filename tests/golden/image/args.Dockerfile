# test: --build-arg=GIVEN=from-outside --build-arg=HTTP_PROXY=http://proxy
ARG GLOBAL=g
FROM scratch
ARG PLAIN
ARG DEFAULT=d GIVEN=x
ARG GLOBAL
ARG HTTP_PROXY
COPY ${PLAIN:-one.txt} /$GLOBAL/$GIVEN
ENV FROM_ARG=$DEFAULT
