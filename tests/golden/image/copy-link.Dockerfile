FROM scratch AS base
COPY --chmod=700 dir/sub /there
COPY one.txt /real/f
FROM base
COPY --link dir /there
COPY --link --chown=3:4 one.txt two.txt /there/new/
COPY --link --exclude=*.c src /src
COPY --link --from=base /real /again
ADD --link a.tgz /unpacked
