FROM a
RUN café
