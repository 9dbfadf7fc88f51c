FROM a
COPY --from=b --from=c x y
