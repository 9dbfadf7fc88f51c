FROM trigger:1
RUN x
