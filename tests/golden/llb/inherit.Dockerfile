FROM base:1 AS a
ARG X=1
ENV E=e
CMD one
FROM a
RUN show
ENTRYPOINT ["e"]
