#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Archives, layers and registries that mean harm: nothing outside the store changes, nothing hangs.

load ../lib/cob
setup() {
    cob_setup
    need_program python3
    hostile=$project/tests/lib/hostile.py
    canary=$T/canary
    mkdir "$canary" && echo untouched >"$canary/f" && chmod 750 "$canary" && chmod 640 "$canary/f"
    before=$(canary_state)
}
teardown() {
    [ -z "${liar_pid:-}" ] || kill "$liar_pid" || :
    cob_teardown
}

canary_state() {
    (cd "$canary" && find . -printf '%p %y %m %U:%G %s %T@ %l\n' | sort && cat f)
}

# A build of a hostile thing may succeed or fail, but must not hang, crash, or reach the canary.
check_harmless() { # what
    [ "$status" -le 1 ] || fail "$1: exit code $status" "$output"
    expect_equal "$(canary_state)" "$before" "the canary after $1"
}

@test "hostile archives by ADD: nothing outside the image changes" {
    local name
    for name in $("$hostile" names); do
        "$hostile" archive "$name" x.tar "$canary"
        printf 'FROM scratch\nADD x.tar /\nADD x.tar /sub/\n' >Dockerfile
        run timeout 30 "$COB" build --progress=plain -o "type=tar,dest=$T/o.tar" .
        check_harmless "ADD of $name"
    done
}

@test "hostile archives as layers: nothing outside the image changes" {
    local name
    for name in $("$hostile" names); do
        "$hostile" archive "$name" "$T/x.tar" "$canary"
        liar archive "$T/x.tar"
        run timeout 30 "$COB" pull --progress=plain "localhost:$port/x:$name"
        check_harmless "a layer with $name"
        kill "$liar_pid" && wait "$liar_pid" || :
    done
    liar_pid=
}

@test "archives: links with absolute and .. targets are kept, within the root" {
    mkdir in && ln -s /etc/passwd in/abs && ln -s ../../../x in/rel && echo y >in/f && ln -s in linked
    tar -cf x.tar in linked
    printf 'FROM scratch\nADD x.tar /\n' >Dockerfile
    run "$COB" build -o "type=tar,dest=$T/o.tar" .
    expect_status 0
    run tar -tvf "$T/o.tar"
    expect_output 'in/abs -> /etc/passwd' 'in/rel -> ../../../x'
}

@test "archives: truncated and damaged ones are errors that name the file" {
    mkdir in && head -c 300000 /dev/urandom >in/f
    tar -cf good.tar in && gzip -k good.tar
    head -c 100000 good.tar >cut.tar && head -c 100000 good.tar.gz >cut.tar.gz
    { head -c 50000 good.tar.gz && head -c 1000 /dev/zero && tail -c +51001 good.tar.gz; } >bad.tar.gz
    local name
    for name in cut.tar cut.tar.gz bad.tar.gz; do
        printf 'FROM scratch\nADD %s /\n' "$name" >Dockerfile
        build_fails .
        expect_output ">>> ADD $name /" "$name"
    done
}

@test "archives: a bomb ends at a limit or a full disk, not in memory" {
    need_root
    mkdir "$T/small" && mount -t tmpfs -o size=32m none "$T/small"
    head -c 400000000 /dev/zero >"$T/zeros"
    tar -C "$T" -cf - zeros | gzip -1 >bomb.tar.gz && rm "$T/zeros"
    printf 'FROM scratch\nADD bomb.tar.gz /\n' >Dockerfile
    COB_ROOT=$T/small/root run timeout 60 "$COB" build --progress=plain .
    local left
    left=$(df --output=avail -m "$T/small" | tail -1)
    umount "$T/small"
    expect_status 1
    expect_output 'No space left on device' bomb.tar.gz
    [ "$left" -ge 25 ] || fail "only $left MB of 32 are free after the failure"
}

liar() { # mode [archive]
    rm -f "$T/port"
    python3 "$hostile" registry "$T/port" "$@" >/dev/null 2>"$T/liar.log" 3>&- &
    liar_pid=$!
    wait_for 10 test -s "$T/port"
    port=$(cat "$T/port")
}

@test "registry: the control is pulled" {
    liar fine
    run "$COB" pull --progress=plain "localhost:$port/x:fine"
    expect_status 0
    run "$COB" images
    expect_output "localhost:$port/x"
}

@test "registry: every lie ends in an error that names the image, and leaves nothing" {
    local mode failed=0
    for mode in wrong-layer wrong-config wrong-diff-id size-small size-big size-negative size-text digest-path \
        both-kinds manifest-no-json manifest-endless; do
        liar "$mode"
        run timeout 60 "$COB" pull --progress=plain "localhost:$port/x:$mode"
        if [ "$status" -ne 1 ] || [[ $output != *"localhost:$port/x"* ]]; then
            printf '%s: exit %s: %s\n' "$mode" "$status" "$output" >&2
            failed=1
        fi
        kill "$liar_pid" && wait "$liar_pid" || :
        liar_pid=
    done
    run "$COB" images -q
    expect_equal "$output" '' 'images after all that'
    [ ! -e /tmp/x ]
    [ "$failed" -eq 0 ]
}

@test "registry: an answer that does not end is cut off at its size" {
    liar layer-endless
    run timeout 60 "$COB" pull --progress=plain "localhost:$port/x:v1"
    [ "$status" -le 1 ] || fail "exit code $status" "$output"
    [ "$(as_store_owner du -sm "$COB_ROOT" | cut -f1)" -le 20 ]
}

@test "registry: a truncated answer is tried again, then an error; Ctrl-C ends the wait" {
    liar layer-truncated
    "$COB" pull --progress=plain "localhost:$port/x:v1" >"$T/log" 2>&1 3>&- &
    local pid=$! code=0
    sleep 1.5
    kill -INT "$pid" 2>/dev/null || :
    wait "$pid" || code=$?
    [ "$code" -eq 130 ] || [ "$code" -eq 1 ] || fail "exit code $code" "$(cat "$T/log")"
    run "$COB" images -q
    expect_equal "$output" ''
}

@test "registry: a server that fails or refuses is named; no other host is asked" {
    run timeout 90 "$COB" build --progress=plain - <<<'FROM localhost:1/x:v1'
    expect_status 1
    expect_output localhost:1 '>>> FROM localhost:1/x:v1'
}
