FROM trigger:1 AS a
FROM busybox AS tools
RUN x
FROM a
