#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What GNU tar and bsdtar see: list.sh N... reads N.tar and writes N.gnu and N.bsd, as these
# programs print it; "error" behind it where one gives up.
export LC_ALL=C TZ=UTC
for n; do
    tar --numeric-owner -tvf "$n.tar" >"$n.gnu" 2>/dev/null || echo error >>"$n.gnu"
    bsdtar --numeric-owner -tvf "$n.tar" >"$n.bsd" 2>/dev/null || echo error >>"$n.bsd"
done
