FROM a
RUN --device=a/b=c,name=d/e=f,required x
