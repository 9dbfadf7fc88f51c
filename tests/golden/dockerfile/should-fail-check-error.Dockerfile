# check=error=true
FROM scratch as base
copy $x /
