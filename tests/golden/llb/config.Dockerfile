# test: build-arg=GIVEN=g label=from=request
ARG GLOBAL=glob
FROM base:1
ARG GLOBAL
ARG GIVEN=default NONE DEF=$GLOBAL-d
ENV A=1 B="two words" C=$A-$GLOBAL
ENV A=$A$A
LABEL a.b="$B" other=x
MAINTAINER Me <me@example.com>
USER u:$GLOBAL
WORKDIR work/$A
WORKDIR /
VOLUME /v1 $A
EXPOSE 80 8000-8002/UDP $GLOBAL_PORT
STOPSIGNAL SIGRTMIN+3
HEALTHCHECK --interval=1m30s --retries=2 CMD curl -f http://localhost/ || exit 1
SHELL ["/bin/bash", "-e", "-c"]
RUN echo "$A" $UNSET
CMD first
CMD ["a", "b \"c\""]
ENTRYPOINT run
ONBUILD COPY . /x
