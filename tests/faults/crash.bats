#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A full disk, kill -9 at any moment, damage, and many at once.

load ../lib/cob
setup() { cob_setup; }
teardown() {
    [ -z "${small:-}" ] || umount "$small" || :
    cob_teardown
}

project_with_caches() {
    seq 2000 >a && head -c 3000000 /dev/urandom >b
    dockerfile <<'END'
FROM busybox AS one
ARG SALT
COPY a b /data/
RUN --mount=type=cache,target=/c echo x >>/c/n; cp /data/b /out; sleep 0.1; echo $SALT >/salt
FROM busybox
ARG SALT
RUN --mount=type=cache,target=/c,sharing=locked echo y >>/c/n; mkdir -p /d && cp /bin/busybox /d/; echo $SALT
COPY --from=one /out /salt /
RUN --mount=type=cache,target=/c echo count=$(wc -l </c/n); cmp /out /out && cat /salt
END
}

n_in_cache() {
    sed -nE 's/^#[0-9]+ [0-9.]+ count=//p' <<<"$output"
}

@test "kill -9 at many moments: the next build succeeds, with every image and cache" {
    busybox_image
    project_with_caches
    build_ok --build-arg SALT=first -t app .
    local n last delay pid
    last=$(n_in_cache)
    for n in $(seq 14); do
        delay=0.$(printf '%02d' $((n * 3)))
        "$COB" build --progress=plain --build-arg "SALT=$n" -t app . >"$T/log" 2>&1 3>&- &
        pid=$!
        sleep "$delay"
        kill -KILL "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    expect_nothing_left
    run "$COB" images
    expect_status 0
    expect_output busybox app
    build_ok --build-arg SALT=last -t app .
    [ "$(n_in_cache)" -ge $((last + 2)) ] || fail "the cache mount had $last lines, now $(n_in_cache)"
    in_image app 'cat /salt'
    expect_exact last
    build_ok --build-arg SALT=first -t app .
    expect_output CACHED
    run as_store_owner find "$COB_ROOT/tmp" -mindepth 1 -maxdepth 1
    [ "${#lines[@]}" -le 2 ] || fail 'leavings in tmp:' "$output"
}

@test "kill -9 during a pull: the next one succeeds" {
    need_program docker-registry skopeo
    # shellcheck source=/dev/null
    source "$project/tests/lib/registry.sh"
    registry_start plain
    busybox_image
    head -c 40000000 /dev/urandom >big
    printf 'FROM busybox\nCOPY big /\n' >Dockerfile
    build_ok -t big -o "type=oci,dest=$T/big.tar" .
    mkdir -p "$T/tmp"
    TMPDIR=$T/tmp skopeo copy -q --insecure-policy --dest-tls-verify=false "oci-archive:$T/big.tar" "docker://$REGISTRY/big:1"
    COB_ROOT=$store/second
    local n pid
    for n in 02 05 10 15 20; do
        "$COB" pull --progress=plain "$REGISTRY/big:1" >"$T/log" 2>&1 3>&- &
        pid=$!
        sleep "0.$n"
        kill -KILL "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    run "$COB" pull --progress=plain "$REGISTRY/big:1"
    registry_stop
    expect_status 0
    in_image "$REGISTRY/big:1" 'sha256sum </big'
    expect_output "$(sha256sum <big | cut -d' ' -f1)"
}

@test "a full disk: a clear error, what was there stays, and then it works again" {
    need_root
    small=$T/small
    mkdir "$small" && mount -t tmpfs -o size=40m none "$small"
    export COB_GC=off # so small a disk is over its budgets
    COB_ROOT=$small/root
    busybox_image
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c echo kept >/c/f\n' >Dockerfile
    build_ok -t before .
    head -c 60000000 /dev/zero >big
    printf 'FROM busybox\nCOPY big /\n' >Dockerfile
    build_fails .
    expect_output 'No space left on device' big '>>> COPY big /'
    printf 'FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M count=60\n' >Dockerfile
    build_fails .
    expect_output 'No space left on device'
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c head -c 20000000 /dev/zero >/c/big && true && cat /c/f\n' >Dockerfile
    build .
    run "$COB" images
    expect_output before busybox
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c rm -f /c/big; cat /c/f\n' >Dockerfile
    build_ok .
    expect_line '#[0-9]+ [0-9.]+ kept'
    umount "$small" && small=
}

@test "a full disk while an output is written: the old output stays" {
    need_root
    small=$T/small
    mkdir "$small" && mount -t tmpfs -o size=8m none "$small"
    echo old >"$small/o.tar"
    head -c 20000000 /dev/urandom >big
    printf 'FROM scratch\nCOPY big /\n' >Dockerfile
    local type
    for type in oci docker tar; do
        build_fails -o "type=$type,dest=$small/o.tar" .
        expect_output "$small" 'No space left on device'
        expect_file "$small/o.tar" old
        expect_equal "$(ls "$small")" o.tar 'what is left beside it'
    done
    build_fails -o "type=local,dest=$small/dir" .
    umount "$small" && small=
}

@test "a store that cannot be written, or is no folder, is one clear sentence" {
    : >"$T/file"
    COB_ROOT=$T/file run "$COB" images
    expect_status 1
    expect_output "$T/file"
    COB_ROOT=/proc/none run "$COB" images
    expect_status 1
    expect_output /proc/none
}

@test "a damaged database: an error or a new start, never a crash or a lost file outside" {
    busybox_image
    as_store_owner bash -c 'head -c 5000 /dev/urandom >"$1/cob.db"; rm -f "$1"/cob.db-*' - "$COB_ROOT"
    run "$COB" images
    [ "$status" -le 1 ] || fail "exit code $status" "$output"
    [ "$status" -eq 0 ] || expect_output cob.db
}

@test "no runtime: a clear error that says what to install" {
    need_root
    busybox_image
    printf 'FROM busybox\nRUN true\n' >Dockerfile
    # shellcheck disable=SC2016
    run unshare --mount sh -c 'for p in crun runc; do mount --bind /dev/null "$(command -v $p)"; done; exec "$COB" build .'
    expect_status 1
    expect_output crun runc install
}

@test "eight builds at once on one store: all succeed, equal steps run once" {
    busybox_image
    local n pid
    local -a pids=()
    for n in $(seq 8); do
        mkdir "$T/p$n"
        printf 'FROM busybox\nRUN echo shared-marker; sleep 0.5\nRUN --mount=type=cache,target=/c echo %s >>/c/n\nRUN echo %s >/n\n' "$n" "$n" >"$T/p$n/Dockerfile"
        "$COB" build --progress=plain -t "p$n" "$T/p$n" >"$T/p$n/log" 2>&1 3>&- &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || fail "a build failed:" "$(tail -n 20 "$T"/p*/log)"
    done
    expect_equal "$(cat "$T"/p*/log | grep -cE '^#[0-9]+ [0-9.]+ shared-marker')" 1 'how often the shared step ran'
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c echo count=$(wc -l </c/n)\n' >Dockerfile
    build_ok .
    expect_output count=8
}

@test "a file that changes while it is copied is an error or a consistent copy, and no later hit" {
    head -c 1000000 /dev/zero >f
    printf 'FROM scratch\nCOPY f /\n' >Dockerfile
    (for i in $(seq 60); do printf '%s' "$i" >>f; sleep 0.01; done) 3>&- &
    build .
    [ "$status" -le 1 ]
    wait
    build_ok -o "type=local,dest=$T/out" .
    cmp f "$T/out/f"
}

@test "a database that is gone: a warning; pulled layers and cache mounts are there, a pull fetches nothing" {
    need_program docker-registry skopeo jq
    # shellcheck source=/dev/null
    source "$project/tests/lib/registry.sh"
    registry_start plain
    busybox_image
    head -c 2000000 /dev/urandom >big
    printf 'FROM busybox\nCOPY big /\n' >Dockerfile
    build_ok -o "type=oci,dest=$T/big.tar" .
    mkdir -p "$T/tmp"
    TMPDIR=$T/tmp skopeo copy -q --insecure-policy --dest-tls-verify=false "oci-archive:$T/big.tar" "docker://$REGISTRY/big:1"
    COB_ROOT=$store/second
    printf 'FROM %s/big:1\nRUN --mount=type=cache,target=/c,id=named-cache echo kept >>/c/f; cat /c/f\n' "$REGISTRY" >Dockerfile
    build_ok -t app .
    local how before
    for how in 'rm -f "$1"/cob.db*' 'rm -f "$1"/cob.db-*; head -c 30000 /dev/urandom >"$1/cob.db"' \
        'dd if=/dev/urandom of="$1/cob.db" bs=4096 seek=1 count=3 conv=notrunc status=none; : >"$1/cob.db-wal"'; do
        before=$(as_store_owner ls "$COB_ROOT/snapshots")
        as_store_owner bash -c "$how" - "$COB_ROOT"
        run "$COB" du --verbose
        # Found damaged in use, the database is replaced by the next start.
        [ "$status" -eq 0 ] || run "$COB" du --verbose
        expect_status 0
        expect_output named-cache
        run "$COB" pull --progress=plain "$REGISTRY/big:1"
        expect_status 0
        expect_equal "$(as_store_owner ls "$COB_ROOT/snapshots")" "$before" 'snapshots that were taken up'
        in_image "$REGISTRY/big:1" 'sha256sum </big'
        expect_output "$(sha256sum <big | cut -d' ' -f1)"
        build_ok -t app .
        expect_line '#[0-9]+ [0-9.]+ kept'
    done
    registry_stop
}

@test "a blob that changed on disk is put aside, and the build makes its image again" {
    busybox_image
    printf 'FROM busybox\nLABEL a=b\nCOPY f /\n' >Dockerfile
    echo 1 >f
    build_ok -t app .
    local blob
    blob=$(as_store_owner grep -l '"a":"b"' -r "$COB_ROOT/blobs/sha256" | head -n 1)
    [ -n "$blob" ] || fail 'no configuration of the image'
    as_store_owner sed -i 's/"a":"b"/"a":"X"/' "$blob"
    run "$COB" run app true
    expect_status 125
    expect_output "${blob##*/}" 'changed on disk' corrupt
    as_store_owner test -e "$COB_ROOT/corrupt/${blob##*/}"
    build_ok -t app .
    expect_equal "$(n_cached)" 1 'cached steps'
    in_image app 'cat /f'
    expect_exact 1
}

@test "a store on a file system that is read-only says so" {
    need_root
    small=$T/small
    mkdir "$small" && mount -t tmpfs -o size=40m none "$small"
    COB_ROOT=$small/root
    busybox_image
    printf 'FROM busybox\nWORKDIR /w\n' >Dockerfile
    build_ok -t app .
    mount -o remount,ro "$small"
    local command
    for command in 'build .' images du 'rmi app' 'run app true'; do
        # shellcheck disable=SC2086
        run "$COB" $command
        [ "$status" -eq 1 ] || [ "$status" -eq 125 ] || fail "exit code $status" "$output"
        expect_output 'ERROR: ' "$small" 'Read-only file system'
    done
    mount -o remount,rw "$small"
    build_ok -t app .
    expect_equal "$(n_cached)" 1 'cached steps'
    umount "$small" && small=
}
