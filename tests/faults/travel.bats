#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Cache mounts that travel: hostile artifacts, and kill -9 at any moment.

load ../lib/cob

setup() {
    cob_setup
    need_root
    need_program zstd
}

teardown() { cob_teardown; }

mount_of() {
    local sum
    sum=$(printf go | sha256sum)
    echo "$1/mounts/${sum%% *}-0/fs"
}

artifact() {
    rm -rf "$T/c" && mkdir "$T/c" && python3 "$project/tests/lib/mount_artifact.py" "$T/c" "$1"
}

@test "an artifact written by the document alone is imported" {
    artifact good
    run "$COB" cache import --from "type=local,src=$T/c"
    expect_status 0
    [ "$(cat "$(mount_of "$COB_ROOT")/file")" = 'hello, cache' ]
}

@test "hostile artifacts are refused, in words, and leave no file" {
    local rows row kind want
    rows=(
        'bomb|holds more bytes than it was said to'
        'short-pack|holds 1 bytes less than it was said to'
        'no-zstd|not compressed by zstd'
        'cut-pack|pack sha256:'
        'damaged-pack|digest'
        'no-pack|not there'
        'wrong-chunk|its bytes have another digest'
        'dotdot|".."'
        'absolute|a part that is empty'
        'symlink-parent|in what is no directory'
        'twice|one is there twice'
        'many|10000000 entries are more than the limit'
        'chunk-outside|outside of its pack'
        'index-bomb|larger than the limit'
    )
    for row in "${rows[@]}"; do
        kind=${row%%|*} want=${row#*|}
        artifact "$kind"
        run "$COB" cache import --from "type=local,src=$T/c"
        [ "$status" -eq 1 ] && [[ $output == *"$want"* ]] ||
            { echo "$kind: wanted \"$want\", got $status: $output" >&2 && return 1; }
        [ ! -e "$(mount_of "$COB_ROOT")/file" ] || { echo "$kind: left a file" >&2 && return 1; }
    done
    [ ! -e /etc/x ]
}

@test "kill -9 at any moment leaves whole files, and the next run ends the work" {
    local n delay file src=$store/src dir
    busybox_image
    printf 'FROM busybox\nRUN --mount=type=cache,id=go,target=/m cd /m && for n in $(seq 300); do head -c 50000 /dev/urandom >f$n; done\n' >Dockerfile
    run "$COB" build -q .
    expect_status 0
    (cd "$(mount_of "$COB_ROOT")" && sha256sum f* | sort >"$T/want")
    for n in 1 2 3 4 5 6 7 8; do
        delay=0.0$((n * 3 % 10))
        timeout -s KILL "$delay" "$COB" cache export go --to "type=local,dest=$T/c" >/dev/null 2>&1 || true
    done
    run "$COB" cache export go --to "type=local,dest=$T/c"
    expect_status 0
    for n in 1 2 3 4 5 6 7 8 9; do
        COB_ROOT=$src timeout -s KILL "0.$((n * 4 % 30 + 5))" "$COB" cache import --from "type=local,src=$T/c" >/dev/null 2>&1 || true
        dir=$(mount_of "$src")
        [ -d "$dir" ] || continue
        [ -z "$(cd "$dir" && find . -name 'f*' -newermt 2000-01-01 ! -size 50000c)" ]
        for file in $(cd "$dir" && ls -A); do
            [[ $file =~ ^f[0-9]+$ ]]
        done
    done
    COB_ROOT=$src run "$COB" cache import --from "type=local,src=$T/c"
    expect_status 0
    diff "$T/want" <(cd "$(mount_of "$src")" && sha256sum f* | sort)
    [ -z "$(ls -A "$src/tmp" | grep -v "^$(ls -t "$src/tmp" | head -1)$" || true)" ]
    [ -z "$(find "$src/tmp" -name 'import-*')" ]
}
