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

@test "big: what is asked about one is answered soon, or refused by the same limit" {
    need_program python3
    local name want call
    while IFS='|' read -r name call want; do
        python3 "$project/tests/lib/big.py" write "$name" >Dockerfile
        status=0
        (ulimit -t 20 && "$COB" build --progress=quiet "--call=$call" . >"$T/out" 2>"$T/err") || status=$?
        if [ "$want" = fine ]; then
            [ "$status" -eq 0 ] && [ -s "$T/out" ] && continue
        else
            [ "$status" -eq 1 ] && grep '^ERROR' "$T/err" | grep -qF -- "$want" && continue
        fi
        fail "$call of $name: exit code $status, wanted $want; $(tail -c 300 "$T/err")"
    done <<'END'
stages|check|fine
stages|targets|fine
stages|convertllb|fine
stages|subrequests.describe|fine
stages with arguments|outline|fine
labels|convertllb|fine
heredocs|convertllb|fine
heredoc|convertllb|fine
comments|subrequests.describe|fine
instructions|convertllb|100000 instructions
ports|convertllb|grow past
nested too deep|convertllb|nested
END
}
