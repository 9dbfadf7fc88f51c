FROM a
COPY --chmod=u=q x y
