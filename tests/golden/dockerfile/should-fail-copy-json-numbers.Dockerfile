FROM a
COPY ["a", 1]
