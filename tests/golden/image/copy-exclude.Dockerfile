FROM scratch
COPY --exclude=*.txt dir /a
COPY --exclude=**/*.txt --exclude=empty dir /b
COPY --exclude=* --exclude=!lib --exclude=!docs/read.md src /c
COPY --exclude=**/.hidden --exclude=lib/*.h . /d/
ADD --exclude=docs src /e
