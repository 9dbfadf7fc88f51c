#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cob cache export and import: cache mounts go to a folder or a registry and come back, whole, merged, and cheaply.

load ../lib/cob

setup() {
    cob_setup
    need_root
    source "$project/tests/lib/registry.sh"
    OTHER=$store/other
    COB_ROOT=$OTHER busybox_image
    busybox_image
}

teardown() {
    [ -z "${REGISTRY_PID:-}" ] || registry_stop
    cob_teardown
}

# fill ID SCRIPT: run a script in a cache mount, as a step would.
fill() {
    local id=$1 script=$2
    printf 'FROM busybox\nARG N\nRUN --mount=type=cache,id=%s,target=/m cd /m && %s\n' "$id" "$script" >Fill
    run "$COB" build -q --build-arg "N=$RANDOM$RANDOM" --no-cache -f Fill .
    expect_status 0
}

# mount_of ROOT ID: its directory.
mount_of() {
    local sum
    sum=$(printf %s "$2" | sha256sum)
    echo "$1/mounts/${sum%% *}-0/fs"
}

# listing DIR: all that travels.
listing() {
    (cd "$1" && find . -mindepth 1 -printf '%P %y %m %U %G %T@ %l\n' | sort &&
        find . -type f -print0 | sort -z | xargs -0 -r sha256sum && getfattr -R -d -m 'user|capability' . 2>/dev/null)
}

export_to() { # ARGUMENT...
    run --separate-stderr "$COB" cache export "$@"
}

field() { # NAME: of the last JSON output
    printf '%s\n' "$output" | jq -r ".$1"
}

@test "a mount comes back as it was: kinds, modes, owners, times to the nanosecond, links, xattrs" {
    fill go 'mkdir -p d/e .hidden && echo one >d/one && chmod 4755 d/one && ln d/one d/two && ln -s ../x d/e/link'
    fill go ': >empty && chown 7:8 empty && head -c 9000000 /dev/urandom >large && chmod 555 d/e && mkfifo pipe'
    local dir
    dir=$(mount_of "$COB_ROOT" go)
    touch -d '2001-02-03 04:05:06.123456789' "$dir/d/one" "$dir/empty"
    touch -d '1969-12-31 23:59:59.5 UTC' "$dir/large"
    setfattr -n user.note -v hello "$dir/empty" || true
    export_to go --to "type=local,dest=$T/c"
    expect_status 0
    [[ $stderr == *"pipe: a named pipe is left out"* ]]
    rm "$dir/pipe"
    COB_ROOT=$OTHER run "$COB" cache import go --from "type=local,src=$T/c"
    expect_status 0
    diff <(listing "$dir" | grep -v '^d d') <(listing "$(mount_of "$OTHER" go)" | grep -v '^d d')
    [ "$(stat -c %h "$(mount_of "$OTHER" go)/d/one")" -eq 2 ]
}

@test "nothing new sends nothing; an edit sends little; the second import fetches only that" {
    fill go 'for n in $(seq 40); do head -c 200000 /dev/urandom >f$n; done'
    export_to --all --to "type=local,dest=$T/c" --format json
    expect_status 0
    local first
    first=$(field MovedBytes)
    [ "$first" -gt 7000000 ]
    export_to --all --to "type=local,dest=$T/c" --format json
    [ "$(field MovedBytes)" -eq 0 ] && [ "$(field NewPacks)" -eq 0 ] && [ "$(field ReadFiles)" -eq 0 ]
    COB_ROOT=$OTHER run "$COB" cache import --from "type=local,src=$T/c"
    fill go 'echo edited >f1'
    export_to --all --to "type=local,dest=$T/c" --format json
    [ "$(field NewPacks)" -eq 1 ]
    [ "$(field MovedBytes)" -lt $((first / 20)) ]
    COB_ROOT=$OTHER run --separate-stderr "$COB" cache import --from "type=local,src=$T/c" --format json
    [ "$(field FetchedPacks)" -eq 1 ] && [ "$(field PlacedFiles)" -eq 1 ] && [ "$(field KeptFiles)" -eq 39 ]
    [ "$(cat "$(mount_of "$OTHER" go)/f1")" = edited ]
}

@test "an import keeps what is newer, and what is in the way" {
    fill go 'echo old >a; echo same >b; echo file >c; mkdir d; echo x >d/x'
    export_to go --to "type=local,dest=$T/c"
    fill go 'sleep 0.1; echo newer >a; rm -r c d; mkdir c; ln -s /etc d'
    run --separate-stderr "$COB" cache import go --from "type=local,src=$T/c" --format json
    expect_status 0
    local dir
    dir=$(mount_of "$COB_ROOT" go)
    [ "$(cat "$dir/a")" = newer ] && [ -d "$dir/c" ] && [ -L "$dir/d" ] && [ ! -e /etc/x ]
    [ "$(field LeftOutFiles)" -ge 2 ]
}

@test "what was removed here goes there, what others added stays" {
    fill go 'echo 1 >mine; echo 1 >gone'
    export_to go --to "type=local,dest=$T/c"
    (export COB_ROOT=$OTHER && fill go 'echo 2 >theirs' && export_to go --to "type=local,dest=$T/c" && expect_status 0)
    fill go 'rm gone; echo 3 >new'
    export_to go --to "type=local,dest=$T/c"
    expect_status 0
    COB_ROOT=$store/third run "$COB" cache import go --from "type=local,src=$T/c"
    [ "$(cd "$(mount_of "$store/third" go)" && echo *)" = 'mine new theirs' ]
    fill go 'echo 4 >new'
    export_to go --to "type=local,dest=$T/c"
    COB_ROOT=$store/fourth run "$COB" cache import go --from "type=local,src=$T/c"
    [ "$(cd "$(mount_of "$store/fourth" go)" && echo *)" = 'mine new theirs' ]
}

@test "dead weight is packed anew, and the folder keeps nothing else" {
    fill go 'for n in $(seq 30); do head -c 100000 /dev/urandom >f$n; done'
    export_to go --to "type=local,dest=$T/c"
    fill go 'for n in $(seq 20); do rm f$n; done'
    export_to go --to "type=local,dest=$T/c" --format json
    expect_status 0
    [ "$(field Packs)" -eq 1 ] && [ "$(field NewPacks)" -eq 1 ]
    [ "$(du -sb "$T/c" | cut -f1)" -lt 1300000 ]
}

many_exports() { # DEST SRC: six machines, each with a file of its own
    local n pids=()
    for n in 1 2 3 4 5 6; do
        COB_ROOT=$store/m$n busybox_image
        (export COB_ROOT=$store/m$n && fill go "echo $n >f$n; head -c 300000 /dev/urandom >r$n")
    done
    for n in 1 2 3 4 5 6; do
        COB_ROOT=$store/m$n "$COB" cache export go --to "$1" >"$T/out$n" 2>&1 &
        pids+=($!)
    done
    for n in "${pids[@]}"; do
        wait "$n" || { cat "$T"/out* >&2 && return 1; }
    done
    COB_ROOT=$store/all "$COB" cache import go --from "$2"
    [ "$(cd "$(mount_of "$store/all" go)" && echo f*)" = 'f1 f2 f3 f4 f5 f6' ]
}

@test "six at once to one folder lose nothing" {
    many_exports "type=local,dest=$T/c" "type=local,src=$T/c"
}

@test "six at once to one tag of a registry lose nothing" {
    registry_start plain
    many_exports "type=registry,ref=$REGISTRY/cache:go,registry.insecure=true" \
        "type=registry,ref=$REGISTRY/cache:go,registry.insecure=true"
}

@test "a registry keeps it, and skopeo copies it" {
    need_program skopeo
    registry_start plain
    fill go 'echo x >f; head -c 100000 /dev/urandom >r'
    export_to go --to "type=registry,ref=$REGISTRY/cache:a,registry.insecure=true"
    expect_status 0
    run skopeo copy --src-tls-verify=false --dest-tls-verify=false "docker://$REGISTRY/cache:a" "docker://$REGISTRY/copy:b"
    expect_status 0
    COB_ROOT=$OTHER run "$COB" cache import --from "type=registry,ref=$REGISTRY/copy:b,registry.insecure=true"
    expect_status 0
    diff <(listing "$(mount_of "$COB_ROOT" go)") <(listing "$(mount_of "$OTHER" go)")
}

@test "wrong ids are told with those there are" {
    fill go-build ': >x'
    export_to go-biuld --to "type=local,dest=$T/c"
    expect_status 1
    [[ $stderr == *"no cache mount go-biuld on this machine: did you mean go-build?; there are: go-build"* ]]
    export_to go-build --to "type=local,dest=$T/c"
    run "$COB" cache import npm --from "type=local,src=$T/c"
    expect_status 1
    [[ $output == *"no cache mount npm in the cache; there are: go-build"* ]]
    run "$COB" cache export --to "type=local,dest=$T/c"
    expect_status 1
    [[ $output == *"add --all"* ]]
}

@test "the quota of a mount is the end of an import" {
    fill go 'for n in $(seq 20); do head -c 100000 /dev/urandom >f$n; done'
    export_to go --to "type=local,dest=$T/c"
    COB_ROOT=$OTHER fill go ': >own'
    COB_ROOT=$OTHER run "$COB" cache quota go 1MB
    expect_status 0
    COB_ROOT=$OTHER run "$COB" cache import go --from "type=local,src=$T/c"
    expect_status 0
    [[ $output == *"its quota is reached"* ]]
    [ "$(du -s --block-size=1 "$(mount_of "$OTHER" go)" | cut -f1)" -le $((1024 * 1024)) ]
    [ "$(find "$(mount_of "$OTHER" go)" -name 'f*' | wc -l)" -gt 3 ]
}

@test "a document of something else is neither imported nor replaced" {
    fill go ': >x'
    printf 'FROM busybox\n' >Dockerfile
    run "$COB" build -q -o "type=oci,dest=$T/i.tar" .
    mkdir "$T/i" && tar -C "$T/i" -xf "$T/i.tar"
    jq '.manifests[0].annotations["org.opencontainers.image.ref.name"]="latest"' "$T/i/index.json" >"$T/new" && cp "$T/new" "$T/i/index.json"
    export_to go --to "type=local,dest=$T/i"
    expect_status 1
    [[ $stderr == *"it holds something else than cache mounts"* ]]
    run "$COB" cache import --from "type=local,src=$T/i"
    expect_status 1
}

@test "mounts=: they go along with a build cache, and are there before the first step of another machine" {
    printf 'FROM busybox\nRUN --mount=type=cache,id=a,target=/a --mount=type=cache,id=b,target=/b ls /a /b; date >/a/one; date >/b/two\n' >Dockerfile
    fill other 'echo x >x'
    build_ok --cache-to "type=local,dest=$T/c,mode=max,mounts=true" .
    expect_output 'exporting cache mounts to type=local' 'a: 1 file' 'b: 1 file'
    refuse_output 'other: 1 file'
    COB_ROOT=$OTHER build_ok --no-cache --cache-from "type=local,src=$T/c,mounts=b" .
    expect_output 'b: 1 file'
    expect_line '#[0-9]+ [0-9.]+ two'
    ! grep -qxE '#[0-9]+ [0-9.]+ one' <<<"$output"
    COB_ROOT=$OTHER build_ok --no-cache --cache-from "type=local,src=$T/c,mounts=true" .
    expect_line '#[0-9]+ [0-9.]+ one'
}

@test "mounts=: of a failed build, too; a failure of theirs is a warning, unless ignore-error=false" {
    printf 'FROM busybox\nRUN --mount=type=cache,id=a,target=/a date >/a/one; false\n' >Dockerfile
    build_fails --cache-to "type=local,dest=$T/c,mounts=true" .
    expect_output 'a: 1 file'
    run "$COB" cache import --from "type=local,src=$T/c,tag=latest-mounts"
    expect_output 'a: 1 file'
    printf 'FROM busybox\nRUN --mount=type=cache,id=a,target=/a date >/a/one\n' >Dockerfile
    build_ok --cache-from "type=local,src=$T/none,mounts=true" .
    expect_output "--cache-from type=local,src=$T/none,mounts=true: cache mounts: "
    echo no >"$T/file"
    build_ok --cache-to "type=local,dest=$T/file/c,mounts=true" .
    expect_output "--cache-to type=local,dest=$T/file/c,mounts=true: cache mounts: "
    build_fails --cache-to "type=local,dest=$T/file/c,mounts=true,ignore-error=false" .
}

@test "a mount of a namespace is named with it, or by --namespace" {
    printf 'FROM busybox\nRUN --mount=type=cache,id=npm,target=/m date >/m/x\n' >Dockerfile
    build_ok --build-arg BUILDKIT_CACHE_MOUNT_NS=ci .
    export_to ci/npm --to "type=local,dest=$T/c"
    expect_output 'ci/npm: 1 file'
    COB_ROOT=$OTHER run "$COB" cache import npm -n ci --from "type=local,src=$T/c"
    expect_output 'ci/npm: 1 file'
    COB_ROOT=$OTHER run "$COB" cache import npm --from "type=local,src=$T/c"
    expect_status 1
    expect_output 'no cache mount npm in the cache; there are: ci/npm'
}
