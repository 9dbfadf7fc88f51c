#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A kernel, or a container's filter, that lacks one system call: cob does without it in an equally
# safe way, or says which one it is. docs/kernel-support.md has the same table.

load ../lib/cob
setup_file() {
    cc -o "$BATS_FILE_TMPDIR/old_kernel" "${BATS_TEST_DIRNAME}/../lib/old_kernel.c" -lseccomp || :
}
setup() {
    cob_setup
    [ -x "$BATS_FILE_TMPDIR/old_kernel" ] || skip_or_fail 'tests/lib/old_kernel.c needs cc and libseccomp-dev'
}
teardown() { cob_teardown; }

# without ERRNO CALL COMMAND...
without() {
    run timeout 60 "$BATS_FILE_TMPDIR/old_kernel" "$@"
    [ "$status" -ne 77 ] || skip_or_fail 'no filter of system calls can be set here'
}

everything() {
    echo "$1" >f
    mkdir -p d && echo "$1" >d/g
    printf 'FROM busybox\nCOPY d /d\nCOPY f /\nWORKDIR /w/%s\nRUN --mount=type=cache,target=/c cat /f /d/g >/r\n' "$1" >Dockerfile
}

works_without() { # errno call...
    local errno=$1 call
    shift
    for call; do
        everything "$errno-$call"
        without "$errno" "$call" "$COB" build -o "type=local,dest=$T/out" .
        expect_status 0
        expect_file "$T/out/r" "$errno-$call"$'\n'"$errno-$call"
        rm -rf "$T/out"
    done
    expect_nothing_left
}

says_what_is_missing() { # errno call...
    local errno=$1 call
    shift
    for call; do
        everything "$errno-$call"
        without "$errno" "$call" "$COB" build .
        expect_status 1
        expect_output "ERROR: this kernel, or a filter of system calls around cob, does not allow $call (Linux"
    done
    expect_nothing_left
    everything after
    build_ok .
}

@test "what cob can do without: statx, pidfds by number, reflinks and copies in the kernel, fsopen" {
    need_root # a filter takes newuidmap of other users its rights
    busybox_image
    works_without 38 statx pidfd_open pidfd_send_signal copy_file_range fsopen
    works_without 1 statx pidfd_open pidfd_send_signal copy_file_range
}

@test "what cob needs is named: on an old kernel" {
    need_root
    busybox_image
    says_what_is_missing 38 openat2 open_tree move_mount mount_setattr clone3 close_range renameat2
}

@test "what cob needs is named: behind a filter that forbids it" {
    need_root
    busybox_image
    says_what_is_missing 1 openat2 open_tree move_mount mount_setattr fsopen clone3 close_range renameat2
}
