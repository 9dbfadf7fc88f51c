#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Dockerfiles that are too large, or nearly so: none takes long, or much memory, or crashes cob.

load ../lib/cob
setup() { cob_setup; }
teardown() { cob_teardown; }

@test "big: every Dockerfile is read soon, or refused by a limit that the error names" {
    need_program python3
    local name want failed=0
    while IFS='|' read -r name want; do
        python3 "$project/tests/lib/big.py" write "$name" >Dockerfile
        status=0
        # the address space as a bound on memory would forbid the sanitizers
        (ulimit -t 20 && "$COB" debug llb . >"$T/out" 2>"$T/err") || status=$?
        output=$(grep '^ERROR' "$T/err" | tail -c 300 || true)
        if [ "$want" = fine ]; then
            [ "$status" -eq 0 ] && continue
        else
            [ "$status" -eq 1 ] && [[ $output == *"$want"* ]] && continue
        fi
        echo "$name: exit code $status, wanted $want; $output" >&2
        failed=1
    done < <(python3 "$project/tests/lib/big.py" names)
    [ "$failed" -eq 0 ]
}
