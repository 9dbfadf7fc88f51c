FROM scratch AS first
ENV A=1
LABEL from=first
COPY dir /d
FROM first AS second
ENV B=2
COPY --from=first /d/sub /copy
FROM scratch AS aside
COPY src /unused
FROM second
COPY --from=0 --chown=7:7 /d/in.txt /n
CMD ["x"]
