#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Removing things, and dying on the way, beside builds, on a full disk.

load ../lib/cob
setup() { cob_setup; }
teardown() {
    [ -z "${small:-}" ] || umount "$small" || :
    cob_teardown
}

# layers N: a Dockerfile of N small layers, with a mount.
layers() {
    local n
    {
        printf 'FROM busybox\nARG SALT\nRUN --mount=type=cache,id=kept,target=/c echo $SALT >>/c/f; for i in $(seq 50); do : >/c/$SALT.$i; done\n'
        for n in $(seq "$1"); do
            printf 'RUN mkdir /d%s && for i in $(seq 30); do echo >/d%s/$i; done; echo $SALT >/e%s\n' "$n" "$n" "$n"
        done
    } >Dockerfile
}

# Every row has its data, every image its layers, and nothing is there that no row names.
check_store() {
    # shellcheck disable=SC2016
    run as_store_owner bash -c '
        cd "$1" || exit 1
        rows() { sqlite3 cob.db "$1" | sort; }
        diff <(rows "SELECT id FROM snapshots") <(ls snapshots | sort) || exit 1
        diff <(rows "SELECT substr(digest, 8) FROM blobs") <(ls blobs/sha256 | sort) || exit 1
        rows "SELECT \"no parent: \" || id FROM snapshots
            WHERE parent IS NOT NULL AND parent NOT IN (SELECT id FROM snapshots)"
        rows "SELECT \"no snapshot: \" || key FROM cache
            WHERE snapshot IS NOT NULL AND snapshot NOT IN (SELECT id FROM snapshots)"
        rows "SELECT \"no data: \" || name FROM images WHERE name IS NOT NULL
            AND (snapshot NOT IN (SELECT id FROM snapshots)
            OR config_digest NOT IN (SELECT digest FROM blobs))"' - "$COB_ROOT"
    expect_status 0
    expect_exact ''
}

@test "kill -9 at many moments of prune: what a name needs stays, and the next one ends the work" {
    need_program sqlite3
    busybox_image
    layers 6
    local n pid
    for n in $(seq 8); do
        build_ok --build-arg "SALT=$n" -t app .
        "$COB" prune -f >"$T/log" 2>&1 3>&- &
        pid=$!
        sleep "0.$(printf '%02d' $((n * 3)))"
        kill -KILL "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
        run "$COB" images
        expect_output app busybox
        check_store
        in_image app 'cat /e6; ls /d6 | wc -l'
        expect_exact "$n"$'\n30'
    done
    run "$COB" prune -f
    expect_status 0
    check_store
    run as_store_owner find "$COB_ROOT/tmp" "$COB_ROOT/mounts" -mindepth 1 -maxdepth 1 -not -name '*-0'
    expect_exact ''
    build_ok --build-arg "SALT=8" -t app .
}

@test "prune again and again beside builds and exports: none of them fails" {
    need_program sqlite3
    busybox_image
    layers 3
    local n pids=() pid
    (while [ ! -e "$T/stop" ]; do
        "$COB" prune -af >>"$T/prune.log" 2>&1 || echo "exit code $?" >>"$T/prune.log"
    done) 3>&- &
    local pruner=$!
    for n in 1 2; do
        (
            for i in 1 2 3 4 5; do
                "$COB" build --progress=plain --build-arg "SALT=$n-$((i % 2))" -t "app$n" \
                    -o "type=oci,dest=$T/$n.tar" . >"$T/build$n.log" 2>&1 || exit 1
                "$COB" build --progress=plain --build-arg "SALT=$n-$i" . >"$T/build$n.log" 2>&1 || exit 1
            done
        ) 3>&- &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || fail "a build failed" "$(cat "$T"/build*.log)"
    done
    : >"$T/stop"
    wait "$pruner"
    ! grep -E 'ERROR|exit code' "$T/prune.log" || fail 'prune failed'
    check_store
    in_image app1 'cat /e3'
    expect_exact 1-1
}

@test "two at once: prune beside prune, each thing is removed by one of them" {
    need_program sqlite3
    busybox_image
    layers 8
    build_ok --build-arg SALT=x -t app .
    "$COB" rmi app
    "$COB" prune -f >"$T/one" 2>&1 3>&- &
    local pid=$!
    run "$COB" prune -f
    expect_status 0
    wait "$pid"
    { cat "$T/one" && echo "$output"; } | awk '/true/ { print $1 }' | sort | uniq -d >"$T/twice"
    expect_file "$T/twice" ''
    check_store
}

@test "a full disk: prune frees it" {
    need_root
    need_program sqlite3
    small=$T/small
    mkdir "$small" && mount -t tmpfs -o size=400m none "$small"
    COB_ROOT=$small/root
    busybox_image
    printf 'FROM busybox\nRUN head -c 30000000 /dev/urandom >/f\n' >Dockerfile
    build_ok -t app .
    "$COB" rmi app
    "$COB" du >"$T/log" # makes the reserve
    fill() { dd if=/dev/zero of="$small/fill" bs=64k status=none 2>/dev/null || :; }
    fill
    run "$COB" prune -f
    expect_status 0
    expect_line $'Total:\t3[0-9](\\.[0-9]+)?MB'
    check_store
    printf 'FROM busybox\nRUN head -c 10000000 /dev/urandom >/f\n' >Dockerfile
    build_ok -t app .
    umount "$small" && small=
}

@test "garbage collection that is killed: the next build goes on with it" {
    need_program sqlite3
    busybox_image
    export COB_CONFIG=$T/config
    mkdir -p "$COB_CONFIG"
    printf '[gc]\ninterval = 0\n[gc.layers]\nreserved-space = 0\nmax-used-space = "3MB"\n[gc.cache-mounts]\nmin-free-space = 0\n' >"$COB_CONFIG/cob.toml"
    layers 6
    local n pid
    for n in $(seq 5); do
        COB_GC=off "$COB" build --quiet --build-arg "SALT=$n" -t app .
        "$COB" prune --gc -f >"$T/log" 2>&1 3>&- &
        pid=$!
        sleep "0.0$n"
        kill -KILL "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    build_ok --build-arg SALT=5 -t app .
    expect_nothing_left
    run "$COB" prune --gc -f
    expect_exact $'Total:\t0B'
    check_store
    run "$COB" du --filter type=exec.cachemount
    expect_output true
}
