# test: context=a=nothing
FROM busybox AS a
