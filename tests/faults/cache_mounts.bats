#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kill -9 while cache mounts are removed, emptied, joined and copied.

load ../lib/cob
setup() { cob_setup && busybox_image; }
teardown() { cob_teardown; }

n_files=4000

fill() {
    # shellcheck disable=SC2016
    printf 'FROM busybox\nRUN --mount=type=cache,id=many,target=/c cd /c && for d in 0 1 2 3; do mkdir -p d$d; cd d$d; for i in $(seq %d); do : >$i; done; cd ..; done\n' $((n_files / 4)) >Dockerfile
    build_ok --no-cache .
}

# killed_after SECONDS COMMAND...
killed_after() {
    local delay=$1 pid
    shift
    "$@" >"$T/log" 2>&1 3>&- &
    pid=$!
    sleep "$delay"
    kill -KILL "$pid" 2>/dev/null || :
    wait "$pid" 2>/dev/null || :
}

# All of it is there, or nothing, and nothing else.
expect_all_or_nothing() {
    local ids
    ids=$("$COB" cache ls -q)
    if [ -n "$ids" ]; then
        expect_equal "$ids" many
        expect_equal "$("$COB" cache inspect --format '{{.Files}}' many)" $n_files 'files left'
    fi
    run as_store_owner find "$COB_ROOT/mounts" -mindepth 1 -maxdepth 1 -name '.gone-*'
    expect_exact ''
}

@test "a mount whose removal is killed is there with all its files, or not at all" {
    local delay
    for delay in 0.005 0.02 0.03 0.04 0.05 0.06 0.08 0.1 0.15 0.2; do
        [ -n "$("$COB" cache ls -q)" ] || fill
        killed_after "$delay" "$COB" cache rm many
        expect_all_or_nothing
    done
}

@test "a mount whose emptying is killed has all its files, or none" {
    local delay n
    printf 'FROM busybox\nRUN --mount=type=cache,id=many,target=/c true\n' >empty.Dockerfile
    "$COB" build --quiet -f empty.Dockerfile .
    fill
    for delay in 0.02 0.04 0.06 0.08 0.1 0.15 0.2; do
        killed_after "$delay" "$COB" build --quiet -f empty.Dockerfile --no-cache-mounts .
        n=$("$COB" cache inspect --format '{{.Files}}' many)
        [ "$n" -eq 0 ] || expect_equal "$n" $n_files "files left after $delay s"
        run as_store_owner find "$COB_ROOT/mounts" -mindepth 1 -maxdepth 1 -name '.gone-*'
        expect_exact ''
        [ "$n" -ne 0 ] || fill
    done
}

@test "a copy that is killed leaves no half a file, and the mount free" {
    local delay
    fill
    head -c 30000000 /dev/urandom >big
    for delay in 0.02 0.04 0.06 0.08 0.1; do
        killed_after "$delay" "$COB" cache cp big many:/
        run "$COB" cache cp many:big got
        [ "$status" -ne 0 ] || cmp big got || fail "half of it after $delay s"
        rm -f got
        killed_after "$delay" "$COB" cache cp many:/ "out$delay"
    done
    run as_store_owner find "$COB_ROOT/mounts" -name '.cob-*'
    expect_exact ''
    run "$COB" cache rm many
    expect_status 0
}
