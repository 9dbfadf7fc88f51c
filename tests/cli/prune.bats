#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cob prune, cob du, and garbage collection behind builds.

load ../lib/cob
setup() { cob_setup; }
teardown() {
    [ -z "${small:-}" ] || umount "$small" || :
    cob_teardown
}

# on_disk: what the file system says of the store.
on_disk() {
    as_store_owner du -sxB1 "$COB_ROOT" | cut -f 1
}

# bytes_of TEXT: of a size as cob shows it, "1.2kB".
bytes_of() {
    awk -v text="$1" 'BEGIN {
        factor["B"] = 1; factor["kB"] = 1e3; factor["MB"] = 1e6; factor["GB"] = 1e9
        unit = text; sub(/^[0-9.]+/, "", unit); sub(/\*$/, "", unit)
        printf "%.0f\n", (text + 0) * factor[unit]
    }'
}

# near GOT WANTED WHAT: within 5 %.
near() {
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a >= 0.95 * b && a <= 1.05 * b) }' ||
        fail "$3: got $1, wanted $2 within 5 %"
}

# sum_of LABEL: of $output, in bytes.
sum_of() {
    bytes_of "$(awk -v label="$1:" '$1 == label { print $2 }' <<<"$output")"
}

query() {
    as_store_owner sqlite3 "$COB_ROOT/cob.db" "$1"
}

# config <<EOF: a cob.toml.
config() {
    export COB_CONFIG=$T/config
    mkdir -p "$COB_CONFIG"
    cat >"$COB_CONFIG/cob.toml"
}

# step_of_mib N MIB: a Dockerfile with one large layer, another one for each N.
step_of_mib() {
    printf 'FROM busybox\nRUN head -c %s000000 /dev/urandom >/f%s\n' "$2" "$1" >Dockerfile
}

# Two images under one name, COPY --link, a mount, a download of none.
project() {
    busybox_image
    head -c 3000000 /dev/urandom >big
    local n
    for n in 1 2; do
        dockerfile <<END
FROM busybox AS one
COPY big /x
RUN head -c 5000000 /dev/urandom >/y$n
FROM busybox
RUN --mount=type=cache,id=m,target=/k head -c 4000000 /dev/urandom >/k/f
COPY --link --from=one /x /y$n /d/
END
        build_ok -t app .
    done
}

@test "prune: what it says is what the file system shows, and what a name needs stays" {
    project
    local before after reclaimable
    run "$COB" du
    near "$(sum_of Total)" "$(on_disk)" 'du'
    reclaimable=$(sum_of Reclaimable)
    before=$(on_disk)
    run "$COB" prune --force
    expect_status 0
    after=$(on_disk)
    near "$(sum_of Total)" $((before - after)) 'prune'
    near "$(sum_of Total)" "$reclaimable" 'what du called reclaimable'
    expect_line $'ID\t+RECLAIMABLE\tSIZE\t+LAST ACCESSED'
    expect_line $'[0-9a-f]{12}-0\\* +\ttrue \t+4(\\.[0-9]+)?MB +\t.* ago'
    expect_line $'Total:\t[0-9.]+MB'
    run "$COB" du
    near "$(sum_of Total)" "$(on_disk)" 'du afterwards'
    expect_output 'Reclaimable:    0B'
    in_image app 'ls /d | wc -l'
    expect_exact 2
    build_ok -t app .
    expect_output CACHED # the layers that have a name
    "$COB" rmi app busybox
    run "$COB" prune -af
    run "$COB" du --filter inuse=false
    [ "${#lines[@]}" -eq 1 ] || fail 'nothing is left' "$output"
    run as_store_owner find "$COB_ROOT/snapshots" "$COB_ROOT/blobs/sha256" "$COB_ROOT/mounts" -mindepth 1
    expect_exact ''
}

@test "prune: asks, and goes by the answer" {
    project
    run "$COB" prune </dev/null
    expect_status 0
    expect_exact 'WARNING! This will remove all dangling build cache. Are you sure you want to continue? [y/N] '
    run "$COB" prune -a <<<'no'
    expect_exact 'WARNING! This will remove all build cache. Are you sure you want to continue? [y/N] '
    run "$COB" prune --dry-run
    expect_output 'Total:'
    local said
    said=$(sum_of Total)
    run "$COB" prune <<<'Y'
    near "$(sum_of Total)" "$said" 'what --dry-run said'
    run "$COB" prune -f
    expect_exact $'Total:\t0B'
}

@test "prune --filter: kinds, ids, ages, mounts and namespaces" {
    busybox_image
    dockerfile <<'END'
FROM busybox
RUN --mount=type=cache,id=one,target=/a --mount=type=cache,id=two,target=/b head -c 2000000 /dev/urandom | tee /a/f /b/f >/dev/null
END
    build_ok -t app .
    "$COB" rmi app
    run "$COB" prune -f --filter until=1h
    expect_exact $'Total:\t0B'
    run "$COB" prune -f --filter until=0s --filter mount=one
    expect_line $'Total:\t2(\\.[0-9]+)?MB'
    run "$COB" du --format '{{.Mount}}' --filter type=exec.cachemount
    expect_exact two
    run "$COB" prune -f --filter mutable --filter type=regular
    expect_exact $'Total:\t0B'
    run "$COB" prune -f --filter 'description~=^cached mount.*two' --verbose
    expect_output 'Type:           exec.cachemount' 'Rule:           prune' 'Mount:          two'
    run "$COB" prune -f --filter type=source.local
    expect_output 'context-'
    run "$COB" du --filter type=regular --filter inuse=false --format '{{.Description}}'
    expect_output '[2/2] RUN'
    for wrong in 'typ=regular' 'until=x' 'id~=(a' 'until'; do
        run "$COB" prune -f --filter "$wrong"
        expect_status 1
        expect_output "ERROR: invalid filter \"$wrong\""
    done
    run "$COB" prune -f --filter until=1h --filter unused-for=1h
    expect_output 'ERROR: conflicting filters "until" and "unused-for"'
}

@test "prune with spaces: no more than it takes, cache mounts last" {
    busybox_image
    local n total
    for n in 1 2 3; do
        step_of_mib "$n" 4
        sed -i 's/RUN /&--mount=type=cache,target=\/k echo >\/k\/f; /' Dockerfile
        build_ok -t "app" .
    done
    total=$(on_disk)
    run "$COB" prune -f --max-used-space 1GB
    expect_exact $'Total:\t0B'
    run "$COB" prune -f --reserved-space 1GB --max-used-space 1
    expect_exact $'Total:\t0B'
    run "$COB" prune -f --min-free-space 1
    expect_exact $'Total:\t0B'
    run "$COB" prune -f --filter type=regular --max-used-space 12MB
    expect_line $'Total:\t4(\\.[0-9]+)?MB'
    near $((total - $(on_disk))) "$(sum_of Total)" 'one layer'
    run "$COB" prune -f --keep-storage 8MB
    expect_output 'WARNING: --keep-storage is deprecated: use --reserved-space'
    run "$COB" du --filter type=exec.cachemount
    expect_output 'true'
    run "$COB" prune -f --min-free-space 100%
    run "$COB" du --filter type=exec.cachemount
    refuse_output 'true'
    run "$COB" prune -f --max-used-space much
    expect_status 1
    expect_output 'ERROR: --max-used-space: "much" is no amount of disk space: expected one like 10GB, 512MB or 20%'
}

@test "prune: a pinned mount stays, and one that a build uses" {
    busybox_image
    printf 'FROM busybox\nRUN --mount=type=cache,id=pinned,target=/a echo >/a/f\n' >Dockerfile
    build_ok .
    "$COB" cache pin pinned
    printf 'FROM busybox\nRUN --mount=type=cache,id=used,target=/a touch /a/f; sleep 3; ls /a/f\n' >Dockerfile
    "$COB" build --progress=plain -t x . >"$T/log" 2>&1 3>&- &
    wait_for 10 grep -q 'RUN --mount' "$T/log"
    sleep 0.5
    run "$COB" prune -af
    wait
    grep -qE '[0-9] /a/f$' "$T/log" || fail "$(cat "$T/log")"
    run "$COB" du --filter type=exec.cachemount --format '{{.Mount}} {{.Pinned}}'
    expect_output 'pinned true' 'used false'
}

@test "du: formats, and sizes told apart" {
    project
    run "$COB" du --format json
    expect_status 0
    expect_equal "$(jq -s 'map(.SizeBytes) | add > 0' <<<"$output")" true
    expect_equal "$(jq -r 'select(.Type == "exec.cachemount") | "\(.Mutable) \(.Mount) \(.Class)"' <<<"$output")" 'true m cache-mounts'
    # COPY --link is hard links: several hold the 8 MB, one of a group pays for them
    expect_equal "$(jq -s '[.[] | select(.LogicalSizeBytes > 8000000)] | length >= 4' <<<"$output")" true
    expect_equal "$(jq -s '[.[] | select(.SizeBytes > 8000000 and .Type == "regular")] | length' <<<"$output")" 2
    near "$(jq -s 'map(.SizeBytes) | add' <<<"$output")" "$(on_disk)" 'the sum of SizeBytes'
    run "$COB" du --verbose
    expect_output 'Logical size:' 'Shared:         true' 'Class:          layers'
    run "$COB" du --format '{{.ID}} {{.Reclaimable}}'
    expect_line '1 false'
    run "$COB" du --verbose --format json
    expect_status 1
    expect_output '--format and --verbose cannot be used together'
    run "$COB" du --filter type=exec.cachemount
    expect_equal "${#lines[@]}" 2 'a header and a row, and no sums'
}

@test "du: git mirrors and downloads, and they go" {
    need_program git
    git init -q -b main "$T/repo"
    head -c 2000000 /dev/urandom >"$T/repo/f"
    git -C "$T/repo" add f
    git -C "$T/repo" -c user.name=x -c user.email=x@x commit -qm x
    mkdir -p "$T/www" && git clone -q --bare "$T/repo" "$T/www/r.git"
    git -C "$T/www/r.git" update-server-info
    head -c 1000000 /dev/urandom >"$T/www/file.bin"
    python3 "$project/tests/lib/remote_server.py" "$T/www" "$T/requests" none >"$T/port" 2>/dev/null 3>&- &
    local server=$! port
    wait_for 10 test -s "$T/port"
    port=$(cat "$T/port")
    printf 'FROM scratch\nADD http://127.0.0.1:%s/etag/file.bin /\nADD http://127.0.0.1:%s/r.git#main /r/\n' "$port" "$port" >Dockerfile
    build -t x .
    kill "$server"
    expect_status 0
    run "$COB" du --verbose
    near "$(sum_of Total)" "$(on_disk)" 'du'
    expect_output 'git mirror of http://127.0.0.1:' 'downloaded file.bin' 'Type:           source.git.checkout' 'Class:          sources'
    "$COB" rmi x
    run "$COB" prune -f
    run as_store_owner find "$COB_ROOT/git" -mindepth 1 -type d
    expect_exact ''
    expect_equal "$(query 'SELECT (SELECT count(*) FROM downloads) + (SELECT count(*) FROM remotes) + (SELECT count(*) FROM mirrors)')" 0 'rows'
}

@test "prune: keys that went are noted, with the rule" {
    need_program sqlite3
    busybox_image
    step_of_mib 1 1
    build_ok -t app .
    "$COB" rmi app
    run "$COB" prune -f
    expect_equal "$(query "SELECT DISTINCT description || '|' || rule FROM evictions")" \
        '[2/2] RUN head -c 1000000 /dev/urandom >/f1|prune' evictions
    build_ok -t app .
    expect_equal "$(n_cached)" 0 'steps that were cached'
}

@test "gc: runs behind a build, keeps to the budget, leaves no process" {
    need_program sqlite3
    busybox_image
    config <<'END'
[gc]
interval = "0s"

[gc.layers]
reserved-space = 0
max-used-space = "12MB"
min-free-space = 0
END
    local n
    for n in 1 2 3 4 5; do
        step_of_mib "$n" 4
        sed -i 's/RUN /&--mount=type=cache,target=\/k head -c 9000000 \/dev\/urandom >\/k\/f; /' Dockerfile
        build_ok -t app .
        expect_nothing_left
    done
    run "$COB" du --filter type=regular --format '{{.Description}}'
    expect_output '>/f5' '>/f4'
    refuse_output '>/f1' '>/f2'
    run "$COB" du --filter type=exec.cachemount
    expect_output 'true          9'
    expect_equal "$(query 'SELECT DISTINCT rule FROM evictions')" 'max-used-space 12MB of layers' rule
    run "$COB" prune --gc --force --dry-run
    expect_exact $'Total:\t0B'
}

@test "gc: off, by cob.toml and by COB_GC; a wrong cob.toml is told with its line" {
    busybox_image
    step_of_mib 1 4
    build_ok -t app .
    step_of_mib 2 4
    config <<'END'
[gc]
enabled = false
interval = 0
[gc.layers]
reserved-space = 0
max-used-space = 1
END
    build_ok -t app .
    COB_GC=off build_ok -t app .
    expect_nothing_left
    run "$COB" du --filter type=regular --format '{{.Description}}'
    expect_output '>/f1' '>/f2'
    COB_GC=on build_ok -t app .
    expect_nothing_left
    run "$COB" du --filter type=regular --format '{{.Description}}'
    expect_output '>/f2'
    refuse_output '>/f1'
    config <<'END'
[gc]
interval = "10m"
[gc.layer]
max-used-space = 1
END
    build_ok -t app .
    expect_output 'WARNING: no garbage is collected: line 3:' 'did you mean layers?'
    run "$COB" prune --gc -f
    expect_status 1
    expect_output '   3 | >>> [gc.layer]' 'did you mean layers?'
    run "$COB" prune --gc -f --filter type=regular
    expect_status 1
    expect_output '--gc goes by cob.toml alone'
}

@test "du and statvfs agree on a file system of its own, before prune and after" {
    need_root
    small=$T/small
    mkdir "$small"
    truncate -s 400M "$T/disk" && mkfs.ext4 -q -F "$T/disk" && mount -o loop "$T/disk" "$small" || {
        small=
        skip_or_fail 'no loop devices'
    }
    local start COB_ROOT=$small/root
    used() { stat -f -c '%S %b %f' "$small" | awk '{ print $1 * ($2 - $3) }'; }
    start=$(used)
    export COB_ROOT
    project
    run "$COB" du
    sync -f "$small"
    near "$(sum_of Total)" $(($(used) - start)) 'du'
    local before
    before=$(used)
    run "$COB" prune -f
    sync -f "$small"
    near "$(sum_of Total)" $((before - $(used))) 'prune'
    umount "$small" && small=
}
