FROM a
RUN ["a", {}]
