#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a long build does, in small: it keeps what it fetched and compiled in two cache mounts, and
# tells how much of that was there already.
set -eu

seen=$(cat /go/pkg/mod/builds 2>/dev/null || echo 0)
objects=$(find /root/.cache -type f | wc -l)
echo "builds that used /go/pkg/mod before: $seen"
if [ "$objects" -gt 0 ]; then echo "/root/.cache is warm"; else echo "/root/.cache is empty"; fi
echo $((seen + 1)) >/go/pkg/mod/builds

mkdir -p dist
GOMODCACHE=/go/pkg/mod GOCACHE=/root/.cache/go-build CGO_ENABLED=0 \
    go build -trimpath -ldflags '-s -w' -o dist/tool .
