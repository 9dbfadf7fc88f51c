FROM a
RUN --security=insecure x
