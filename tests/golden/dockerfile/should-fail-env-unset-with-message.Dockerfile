FROM a
ARG V
ENV a="${V:?must be set, not $W}"
