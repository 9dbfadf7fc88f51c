#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Archives and layers are read by sealed processes: they ask the kernel for nothing but memory, and
# when one dies, its unpack fails and leaves nothing.

load ../lib/cob
setup() {
    cob_setup
    need_root # below strace, newuidmap has no rights
    need_program strace
    need_program python3
    mkdir in && echo one >in/f && ln -s f in/l && tar -cf plain.tar in
    printf 'FROM scratch\nADD plain.tar /\n' >Dockerfile
}
teardown() {
    [ -z "${liar_pid:-}" ] || kill "$liar_pid" || :
    cob_teardown
}

# What each sealed process called after its seal, once each; a sanitizer's own calls are let through.
calls_behind_seal() { # trace
    awk '
        /--sealed-worker/ { worker[$1] = 1 }
        worker[$1] && / seccomp\(/ { sealed[$1] = 1; next }
        sealed[$1] && $2 ~ /^[a-z_0-9]+\(/ { sub(/\(.*/, "", $2); print $2 }' "$1" | sort -u |
        grep -vxE 'sched_yield|sigaltstack|nanosleep|clock_nanosleep' || :
}

# build_under INJECTION...: every worker is hit. A leak checker cannot work below strace.
build_under() {
    ASAN_OPTIONS=detect_leaks=0 run strace -f -qq -o "$T/trace" "$@" "$COB" build --progress=plain --no-cache .
}

expect_builds() {
    run "$COB" build --progress=plain -o "type=tar,dest=$T/o.tar" .
    expect_status 0
    run tar -xOf "$T/o.tar" in/f
    expect_output one
}

@test "sealed: whatever the archive, nothing but memory, read and write is asked for" {
    local name call n=0
    gzip -k plain.tar && xz -k plain.tar && bzip2 -k plain.tar && zstd -q plain.tar -o plain.tar.zst
    for name in plain.tar plain.tar.gz plain.tar.xz plain.tar.bz2 plain.tar.zst; do
        printf 'FROM scratch\nADD %s /\n' "$name" >Dockerfile
        build_under
        expect_status 0
        for call in $(calls_behind_seal "$T/trace"); do
            case $call in
            read | write | brk | mmap | munmap | mremap | mprotect | madvise | futex) n=$((n + 1)) ;;
            exit_group | clock_gettime | rt_sigprocmask | rt_sigreturn) ;;
            *) fail "$name: a sealed process calls $call" "$(tail -n 40 "$T/trace")" ;;
            esac
        done
        grep -q -- '--sealed-worker", "untar' "$T/trace" || fail "$name: no worker reads it" ""
        [ "$name" = plain.tar ] || grep -q -- '--sealed-worker", "decode' "$T/trace" ||
            fail "$name: no worker decompresses it" ""
        expect_builds
    done
    [ "$n" -ge 10 ] || fail "the trace shows nothing" "$n"
}

@test "sealed: a worker that dies fails the step, names the archive, and is forgotten" {
    gzip -k plain.tar
    local name
    for name in plain.tar plain.tar.gz; do
        printf 'FROM scratch\nADD %s /\n' "$name" >Dockerfile
        build_under -e trace=seccomp -e inject=seccomp:signal=SIGKILL
        expect_status 1
        expect_output ">>> ADD $name /" "$name: the sealed worker" 'died of signal 9'
        expect_builds
    done
}

@test "sealed: a layer whose worker dies is named, and not recorded" {
    # shellcheck disable=SC2154
    python3 "$project/tests/lib/liar.py" serve "$T/port" "$T" >/dev/null 2>"$T/liar.log" 3>&- &
    liar_pid=$!
    wait_for 10 test -s "$T/port"
    port=$(cat "$T/port")
    run strace -f -qq -o "$T/trace" -e trace=seccomp -e inject=seccomp:signal=SIGSEGV \
        "$COB" pull --progress=plain "localhost:$port/fine"
    expect_status 1
    expect_output 'layer sha256:' 'the sealed worker'
    run "$COB" images
    expect_status 0
    [[ $output != *"localhost:$port/fine"* ]] || fail "the image is there" "$output"
    run "$COB" pull --progress=plain "localhost:$port/fine"
    expect_status 0
}

@test "sealed: without seccomp nothing is unpacked, without Landlock the rest has to do" {
    build_under -e trace=seccomp -e inject=seccomp:error=ENOSYS
    expect_status 1
    expect_output 'plain.tar: seal the worker untar: forbid system calls (seccomp): cob needs a kernel with CONFIG_SECCOMP_FILTER: Function not implemented'
    build_under -e trace=landlock_create_ruleset -e inject=landlock_create_ruleset:error=EOPNOTSUPP
    expect_status 0
}
