FROM scratch
ARG V=1.2
ADD --checksum=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa https://h.example/d/x-$V.tar.gz?sig=1 /a/
ADD --unpack --chown=1:2 --chmod=644 https://h.example/ /b
ADD --link https://h.example/%2e%2e /c/
ADD https://h.example/a.git#v1:sub/dir /d
ADD --keep-git-dir --checksum=abcdef git@h.example:o/a.git?submodules=false&mtime=commit /e
ADD --exclude=*.md https://h.example:8443/o/a.git?branch=main&fetch-by-commit&commit=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb x /f/
