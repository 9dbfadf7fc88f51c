FROM a
RUN --device=a/b=c,requird=true x
