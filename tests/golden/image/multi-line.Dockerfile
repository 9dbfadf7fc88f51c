FROM scratch
# a remark
COPY --chmod=644 \
     # inside
     one.txt \
     two.txt \
     /d/
ENV A=1 \
    B=2
