FROM a
HEALTHCHECK --timeout=5parsec CMD x
