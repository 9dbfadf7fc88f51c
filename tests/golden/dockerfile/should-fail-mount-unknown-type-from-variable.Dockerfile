FROM a
ARG T=cahce
RUN --mount=type=$T,target=/x make
