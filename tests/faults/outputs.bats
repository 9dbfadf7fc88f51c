#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Where a build's output goes: what is there stays as it was or is replaced as a whole, and the store
# is nobody else's.

load ../lib/cob
setup() {
    cob_setup
    out=$T/out
    mkdir "$out"
}
teardown() { cob_teardown; }

small_build() {
    echo content >f
    printf 'FROM scratch\nCOPY f /f\n' >Dockerfile
}

# 64 files, which together are more than what with_small_files lets a file be.
large_build() {
    local i
    mkdir -p d
    for i in $(seq 64); do head -c 32768 /dev/urandom >"d/$i"; done
    printf 'FROM scratch\nCOPY d /d\n' >Dockerfile
}

# with_small_files COMMAND...: no file of it gets larger than 1 MiB, as on a full disk.
with_small_files() {
    run bash -c "trap '' XFSZ; ulimit -f 1024; exec \"\$@\"" small "$@"
}

state_of() {
    (cd "$1" && find . -printf '%p %y %m %s %l\n' | sort)
}

@test "outputs: a place that is no file is refused and stays as it is" {
    small_build
    mkdir "$out/folder" && mkfifo "$out/fifo" && echo old >"$out/old" && ln -s old "$out/link" && ln -s none "$out/dangling"
    local before place kind failed=0
    before=$(state_of "$out")
    for place in "$out/folder" "$out/fifo" "$out/link" "$out/dangling" /dev/full /proc/self/mem "$out/none/x" "$out/new/"; do
        for kind in oci docker tar; do
            run timeout 20 "$COB" build --progress=plain -o "type=$kind,dest=$place" .
            if [ "$status" -ne 1 ] || [[ $output != *"ERROR: failed to solve: --output type=$kind,dest=$place: "*"dest $place: "* ]]; then
                printf '%s to %s: exit code %s: %s\n' "$kind" "$place" "$status" "$output" >&2
                failed=1
            fi
        done
        run timeout 20 "$COB" build --progress=plain --iidfile "$place" .
        if [ "$status" -ne 1 ] || [[ $output != *"$place"* ]]; then
            printf 'iidfile %s: exit code %s: %s\n' "$place" "$status" "$output" >&2
            failed=1
        fi
    done
    expect_equal "$(state_of "$out")" "$before" 'what is there'
    expect_file "$out/old" old
    [ "$failed" -eq 0 ]
}

@test "outputs: a folder is not made of a file, a FIFO or a device" {
    small_build
    mkfifo "$out/fifo" && echo old >"$out/old"
    local before place
    before=$(state_of "$out")
    for place in "$out/fifo" "$out/old" "$out/old/x" /dev/full /proc/self/mem; do
        run timeout 20 "$COB" build --progress=plain -o "type=local,dest=$place" .
        expect_status 1
        expect_output "dest $place: "
    done
    expect_equal "$(state_of "$out")" "$before" 'what is there'
}

@test "outputs: after a failure the old one is there, or none" {
    large_build
    build_ok .
    local kind failed=0
    for kind in oci,compression=uncompressed docker,compression=uncompressed tar; do
        echo old >"$out/old"
        with_small_files "$COB" build --progress=plain -o "type=$kind,dest=$out/old" -o "type=$kind,dest=$out/new" .
        if [ "$status" -ne 1 ] || [[ $output != *'File too large'* ]]; then
            printf '%s: exit code %s: %s\n' "$kind" "$status" "$output" >&2
            failed=1
        fi
        expect_equal "$(state_of "$out" | cut -d' ' -f1,2)" $'. d\n./old f' "what is there after $kind"
        expect_file "$out/old" old
        build_ok -o "type=$kind,dest=$out/old" .
        tar -tf "$out/old" >"$T/names"
    done
    [ "$failed" -eq 0 ]
}

@test "outputs: after a failure a folder that was not there is not there" {
    large_build
    head -c 2000000 /dev/urandom >d/large
    build_ok .
    mkdir "$out/old" && echo mine >"$out/old/keep"
    with_small_files "$COB" build --progress=plain -o "type=local,dest=$out/new" .
    expect_status 1
    expect_output "dest $out/new" 'File too large'
    expect_equal "$(ls -A "$out")" old
    with_small_files "$COB" build --progress=plain -o "type=local,dest=$out/old" .
    expect_status 1
    expect_file "$out/old/keep" mine
    build_ok -o "type=local,dest=$out/new" -o "type=local,dest=$out/old" .
    diff -r d "$out/new/d"
    diff -r d "$out/old/d"
    expect_equal "$(ls -A "$out")" $'new\nold'
}

@test "outputs: whatever the umask, the store is its owner's alone, and results are the same" {
    small_build
    mkdir -m 755 sub && echo x >sub/x && chmod 644 f sub/x
    printf 'FROM scratch\nCOPY . /\nWORKDIR /new/dir\n' >Dockerfile
    touch -d @1000 f sub/x sub Dockerfile .
    local mask root found
    for mask in 000 077; do
        root=$store/$mask
        (umask "$mask" && COB_ROOT=$root "$COB" build -q -t "x:$mask" -o "type=tar,dest=$T/$mask.tar" .) >/dev/null
        found=$(find "$root" -maxdepth 0 -perm /077 -printf '%p %m\n')
        expect_equal "$found" '' "the store with umask $mask is open to others"
        [ "$(id -u)" -ne 0 ] || ! runuser -u nobody -- ls "$root/snapshots" 2>/dev/null ||
            fail "others can look into the store with umask $mask"
    done
    tar -tvf "$T/000.tar" | awk '{ print $1, $2, $3, $6 }' >"$T/000"
    tar -tvf "$T/077.tar" | awk '{ print $1, $2, $3, $6 }' >"$T/077"
    diff "$T/000" "$T/077"
}
