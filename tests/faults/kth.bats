#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The k-th call that changes the store fails, or is the last one before a kill: for each k the error is
# clear, nothing is left, and the same command succeeds afterwards. COB_LONG_TESTS=1 tries every k.

load ../lib/cob
setup_file() {
    cc -shared -fPIC -O1 -D_GNU_SOURCE -o "$BATS_FILE_TMPDIR/faulty.so" "${BATS_TEST_DIRNAME}/../lib/faulty.c"
}
setup() {
    need_program cc
    cob_setup
    [ -e "$BATS_FILE_TMPDIR/faulty.so" ] || fail 'tests/lib/faulty.c does not compile'
    unset "${!FAULTY_@}"
}
teardown() {
    [ -z "${small:-}" ] || umount "$small" || :
    cob_teardown
}

# faulty COMMAND...: on a machine that fails as FAULTY_* says; what failed is in $T/failed.
faulty() {
    rm -f "$T/failed"
    run env LD_PRELOAD="$BATS_FILE_TMPDIR/faulty.so" FAULTY_BELOW="$COB_ROOT" FAULTY_LOG="$T/failed" "$@"
}

# n_calls COMMAND...: how many calls of it could fail.
n_calls() {
    FAULTY_AT=0 faulty "$@"
    expect_status 0
    wc -l <"$T/failed"
}

# some_of N HOW_MANY: numbers from 1 to N, all of them or so many, the last ones included.
some_of() {
    local step=$(($1 / $2 + 1))
    [ "${COB_LONG_TESTS:-}" != 1 ] || step=1
    seq 1 "$step" "$1"
    [ "$step" -eq 1 ] || echo "$1"
}

nothing_in_tmp() {
    local left
    [ -d "$COB_ROOT/tmp" ] || return 0
    left=$(as_store_owner ls "$COB_ROOT/tmp")
    expect_equal "$left" '' 'what is left in tmp'
}

# Each has a line, a link, a hard link and a folder to be made, and a text of its own.
change_project() {
    printf '%s\n' "$1" >a
    rm -rf d && mkdir -p d/e && printf '%s\n' "$1" >d/e/f && ln -s e/f d/l && ln d/e/f d/h
}

project_without_steps() {
    busybox_image
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c echo kept >/c/f\n' >Dockerfile.cache
    build_ok -f Dockerfile.cache .
    printf 'FROM busybox\nARG SALT\nCOPY d /d\nWORKDIR /w/$SALT\nCOPY a /w/\n' >Dockerfile
    change_project first
    build_ok -t app --build-arg SALT=first .
}

expect_cache_mount() {
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c cat /c/f; echo %s\n' "$RANDOM" >Dockerfile.cache
    build_ok -f Dockerfile.cache .
    expect_line '#[0-9]+ [0-9.]+ kept'
}

# A few calls may fail without harm: SQLite gives its files to the owner of the database, reads on
# when it may not write, goes on when it cannot open its folder to flush that, and brings what its
# log has into the database another time; the name of who has a cache mount is for people, and there
# need be no reserve. What a build writes for `cob history` and `cob why`, and when garbage was looked
# for last, is not worth a build: a row of these that is lost is all that a log's write may cost when
# nothing was said; the build after it shows that the others are there.
harmless='(fchown|openat) .*/cob\.db-(wal|shm)|(ftruncate64|pwrite64) .*/mounts/.*/lock|.*/reserve|'
harmless+='.*/history/.*|.*/history|pwrite64 .*/cob\.db-wal|'
harmless+='fallocate64 .*/#[0-9]+ \(deleted\)|(pwrite64|fdatasync|ftruncate64) .*/cob\.db'
expect_clear_error() { # what the kernel said
    local failed
    failed=$(cat "$T/failed" 2>/dev/null) || : # not reached this time
    if [ "$status" -eq 0 ]; then
        [ -z "$failed" ] || grep -qE "^[0-9]+ ($harmless|openat $COB_ROOT)\$" <<<"$failed" ||
            fail "this was passed over: $failed"
        return 0
    fi
    expect_status 1
    grep -qE "^ERROR: .*($1|could not be opened to write a moment ago)" <<<"$output" ||
        fail "no clear error for: $failed" "$output"
}

# each_call_fails ERRNO TEXT HOW_MANY: of a build.
each_call_fails() {
    local errno=$1 text=$2 k salt n
    change_project "$errno-0"
    n=$(FAULTY_ERRNO=$errno n_calls "$COB" build -t app --build-arg "SALT=$errno-0" .)
    for k in $(some_of "$n" "$3"); do
        salt=$errno-$k
        change_project "$salt"
        FAULTY_AT=$k FAULTY_ERRNO=$errno faulty "$COB" build --progress=plain -t app --build-arg "SALT=$salt" .
        expect_clear_error "$text"
        nothing_in_tmp
        build_ok -t app --build-arg "SALT=$salt" .
    done
    build_ok -t app --build-arg "SALT=$salt" -o "type=local,dest=$T/out" .
    expect_file "$T/out/w/a" "$salt"
    expect_file "$T/out/d/l" "$salt"
}

@test "build: no space at the k-th call" {
    project_without_steps
    each_call_fails 28 'No space left on device' 20
    expect_cache_mount
}

@test "build: an I/O error, a quota, a read-only disk or no descriptor at the k-th call" {
    project_without_steps
    each_call_fails 5 'Input/output error' 5
    each_call_fails 122 'Disk quota exceeded' 5
    each_call_fails 30 'Read-only file system' 4
    each_call_fails 24 'Too many open files' 6
    expect_cache_mount
}

@test "build: a disk that is full from the k-th call on" {
    project_without_steps
    local n k
    n=$(n_calls "$COB" build -t app --build-arg SALT=n .)
    for k in $(some_of "$n" 12); do
        change_project "full-$k"
        FAULTY_AT=$k FAULTY_LAST=999999 faulty "$COB" build --progress=plain -t app --build-arg "SALT=$k" .
        expect_status 1
        expect_output 'No space left on device'
        nothing_in_tmp
    done
    build_ok -t app --build-arg "SALT=$k" .
    expect_cache_mount
}

@test "build: killed at the k-th call" {
    project_without_steps
    local n k
    change_project 0
    n=$(n_calls "$COB" build -t app --build-arg SALT=0 .)
    for k in $(some_of "$n" 20); do
        change_project "kill-$k"
        FAULTY_AT=$k FAULTY_ERRNO=0 faulty "$COB" build --progress=plain -t app --build-arg "SALT=$k" .
        [ "$status" -eq 137 ] || [ "$status" -eq 0 ] || fail "exit code $status" "$output"
        build_ok -t app --build-arg "SALT=$k" .
        nothing_in_tmp
    done
    build_ok -t app --build-arg "SALT=$k" -o "type=local,dest=$T/out" .
    expect_file "$T/out/w/a" "kill-$k"
    expect_cache_mount
}

@test "build: killed at the k-th call of the recovery that follows a kill" {
    project_without_steps
    local n k
    for k in $(seq 1 "$([ "${COB_LONG_TESTS:-}" = 1 ] && echo 1 || echo 6)" 40); do
        change_project "again-$k"
        FAULTY_AT=45 FAULTY_ERRNO=0 faulty "$COB" build -t app --build-arg "SALT=$k" .
        FAULTY_AT=$k FAULTY_ERRNO=0 faulty "$COB" images
        [ "$status" -eq 137 ] || [ "$status" -eq 0 ] || fail "exit code $status" "$output"
        build_ok -t app --build-arg "SALT=$k" .
        nothing_in_tmp
    done
    expect_cache_mount
}

@test "no space for a lease: what dead processes left is removed, and it is tried again" {
    project_without_steps
    local k
    FAULTY_AT=30 FAULTY_ERRNO=0 faulty "$COB" build -t app --build-arg SALT=dead .
    expect_status 137
    k=$(as_store_owner find "$COB_ROOT/tmp" -mindepth 2 ! -name lock | wc -l)
    [ "$k" -gt 0 ] || fail 'the killed build left nothing'
    as_store_owner cp -a "$COB_ROOT" "$store/copy"
    k=$(COB_ROOT=$store/copy && n_calls "$COB" images >/dev/null && sed -nE 's|^([0-9]+) mkdirat .*/tmp/[^/]+$|\1|p' "$T/failed" | head -n 1)
    [ -n "$k" ] || fail 'no call made a lease' "$(cat "$T/failed")"
    FAULTY_AT=$k faulty "$COB" images
    grep -q "mkdirat.*/tmp/" "$T/failed" || fail 'it was another call:' "$(cat "$T/failed")"
    expect_status 0
    expect_output app
    nothing_in_tmp
    build_ok -t app --build-arg SALT=dead .
    expect_cache_mount
}

@test "a step with a cache mount: killed at the k-th call, and no space" {
    busybox_image
    local n k
    step() {
        printf 'FROM busybox\nRUN --mount=type=cache,target=/c echo %s >>/c/f; echo count=$(wc -l </c/f)\n' "$1" >Dockerfile
    }
    step 0
    n=$(n_calls "$COB" build .)
    for k in $(some_of "$n" 8); do
        step "$k"
        FAULTY_AT=$k FAULTY_ERRNO=0 faulty "$COB" build .
        FAULTY_AT=$k faulty "$COB" build .
        build_ok .
        nothing_in_tmp
    done
    step last
    build_ok .
    [ "$(sed -nE 's/^#[0-9]+ [0-9.]+ count=//p' <<<"$output")" -gt "$(some_of "$n" 8 | wc -l)" ] || fail "$output"
}

@test "pull: no space, and killed, at the k-th call" {
    need_program docker-registry skopeo
    # shellcheck source=/dev/null
    source "$project/tests/lib/registry.sh"
    registry_start plain
    local n k
    busybox_image
    change_project x
    printf 'FROM busybox\nCOPY d /d\nCOPY a /\n' >Dockerfile
    build_ok -o "type=oci,dest=$T/i.tar" .
    mkdir -p "$T/tmp"
    TMPDIR=$T/tmp skopeo copy -q --insecure-policy --dest-tls-verify=false "oci-archive:$T/i.tar" "docker://$REGISTRY/i:1"
    COB_ROOT=$store/count
    n=$(n_calls "$COB" pull -q "$REGISTRY/i:1")
    COB_ROOT=$store/pulled
    for k in $(some_of "$n" 14); do
        remove_tree "$COB_ROOT"
        FAULTY_AT=$k faulty "$COB" pull -q "$REGISTRY/i:1"
        expect_clear_error 'No space left on device'
        nothing_in_tmp
        FAULTY_AT=$k FAULTY_ERRNO=0 faulty "$COB" pull -q "$REGISTRY/i:1"
        run "$COB" pull -q "$REGISTRY/i:1"
        expect_status 0
        nothing_in_tmp
    done
    registry_stop
    in_image "$REGISTRY/i:1" 'cat /a /d/l /d/h'
    expect_exact $'x\nx\nx'
}

@test "rmi, du, images: no space, and killed, at the k-th call" {
    project_without_steps
    local n k command
    for command in 'rmi app' 'du' 'images'; do
        build_ok -t app --build-arg SALT=first .
        # shellcheck disable=SC2086
        n=$(n_calls "$COB" $command)
        for k in $(some_of "$n" 6); do
            build_ok -t app --build-arg SALT=first .
            # shellcheck disable=SC2086
            FAULTY_AT=$k faulty "$COB" $command
            expect_clear_error 'No space left on device'
            nothing_in_tmp
            build_ok -t app --build-arg SALT=first .
            # shellcheck disable=SC2086
            FAULTY_AT=$k FAULTY_ERRNO=0 faulty "$COB" $command
        done
    done
    run "$COB" images
    expect_output busybox
    expect_cache_mount
}

@test "a full disk: rmi has its reserve, which is made again when there is room" {
    need_root
    small=$T/small
    mkdir "$small" && mount -t tmpfs -o size=400m none "$small"
    COB_ROOT=$small/root
    project_without_steps
    expect_equal "$(stat -c '%s %b' "$COB_ROOT/reserve")" '33554432 65536' 'size of the reserve'
    head -c 500000000 /dev/zero >"$small/filler" || :
    change_project full
    build_fails .
    expect_output 'No space left on device'
    [ -e "$COB_ROOT/reserve" ] || fail 'a build took the reserve'
    run "$COB" rmi app
    expect_status 0
    expect_output 'Untagged: app'
    [ ! -e "$COB_ROOT/reserve" ] || fail 'the reserve was not needed: the disk was not full'
    rm "$small/filler"
    run "$COB" images
    refuse_output app
    expect_equal "$(stat -c '%s' "$COB_ROOT/reserve")" 33554432 'size of the reserve'
    expect_cache_mount
    umount "$small" && small=
}

@test "a small disk has no reserve, and works" {
    need_root
    small=$T/small
    mkdir "$small" && mount -t tmpfs -o size=40m none "$small"
    COB_ROOT=$small/root
    project_without_steps
    build_ok -t app --build-arg SALT=2 .
    [ ! -e "$COB_ROOT/reserve" ] || fail 'a reserve of 32 MiB on a disk of 40'
    umount "$small" && small=
}

@test "a killed build that left a full disk is cleared away by the next one" {
    need_root
    small=$T/small
    mkdir "$small" && mount -t tmpfs -o size=60m none "$small"
    COB_ROOT=$small/root
    project_without_steps
    local before
    before=$(df --output=used "$small" | tail -n 1)
    head -c 90000000 /dev/zero >big
    printf 'FROM busybox\nCOPY big /\n' >Dockerfile.big
    FAULTY_AT=30 FAULTY_ERRNO=0 faulty "$COB" build -f Dockerfile.big .
    expect_status 137
    head -c 90000000 /dev/zero >"$(echo "$COB_ROOT"/tmp/*)/left" || :
    build_ok -t app --build-arg SALT=after .
    nothing_in_tmp
    [ "$(df --output=used "$small" | tail -n 1)" -lt $((before + 1000)) ] || fail 'the space did not come back'
    umount "$small" && small=
}
