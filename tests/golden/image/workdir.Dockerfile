FROM scratch
WORKDIR /
WORKDIR a
WORKDIR b/c
COPY one.txt .
WORKDIR /a/b
WORKDIR ..
COPY one.txt ../up/
WORKDIR /a
