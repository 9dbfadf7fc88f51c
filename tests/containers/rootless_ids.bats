#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ids that an unprivileged user does not have: clear errors, no file of the wrong owner.

load ../lib/cob
setup() { cob_setup; }
teardown() { cob_teardown; }

foreign=2000000000

@test "rootless: an owner or a USER that nobody has given us is an error that says what to do" {
    is_root && skip 'root has all ids'
    need_program python3
    busybox_image
    printf 'FROM busybox\nUSER %s\nRUN id\n' $foreign >Dockerfile
    build_fails .
    expect_output "user $foreign: whoever runs cob has no uid $foreign to give: add more to /etc/subuid and /etc/subgid"
    printf 'FROM busybox\nUSER 0:%s\nRUN id\n' $foreign >Dockerfile
    build_fails .
    expect_output "has no gid $foreign to give"
    printf 'FROM busybox\nCOPY --chown=%s Dockerfile /d/f\n' $foreign >Dockerfile
    build_fails .
    expect_output "--chown=$foreign" "has no uid $foreign to give"
    python3 -c '
import sys, tarfile
with tarfile.open(sys.argv[1], "w") as tar:
    info = tarfile.TarInfo("d")
    info.type, info.uid = tarfile.DIRTYPE, int(sys.argv[2])
    tar.addfile(info)' x.tar $foreign
    printf 'FROM busybox\nADD x.tar /\n' >Dockerfile
    build_fails .
    expect_output "x.tar" "entry d/" "this user has no such ids" /etc/subuid
}

# The ids of a user can become fewer after a build.
@test "rootless: a folder of the base whose owner is no longer ours is an error that says so" {
    need_root
    id cob-test >/dev/null 2>&1 || skip_or_fail 'there is no user cob-test: ./dev test makes it'
    local own
    own=$(mktemp -d /var/tmp/cob-test.XXXXXX)
    cp "$COB" "$own/cob" && mkdir "$own/ctx" && cp /bin/busybox "$own/ctx/"
    printf 'FROM scratch\nCOPY busybox /bin/\nCOPY busybox /d/f\n' >"$own/ctx/Dockerfile"
    printf 'FROM base\nCOPY busybox /d/g\n' >"$own/ctx/copy"
    printf 'FROM base\nRUN ["/bin/busybox", "chown", "0", "/d"]\n' >"$own/ctx/run"
    chmod -R a+rX "$own" && chown cob-test "$own"
    as_test_user() { runuser -u cob-test -- env COB_ROOT="$own/root" HOME="$own" "$own/cob" "$@"; }
    cd "$own"
    as_test_user build --quiet -t base ctx
    find root/snapshots -path '*/fs/d' -exec chown $foreign:$foreign {} +
    run as_test_user build --progress=plain -f ctx/copy ctx
    local copied=$output copied_status=$status
    run as_test_user build --progress=plain -f ctx/run ctx
    cd / && rm -rf "$own"
    expect_status 1
    status=$copied_status output=$copied
    expect_status 1
    expect_output 'bring /d into the new layer: it belongs to an id that whoever runs cob has not: add it to /etc/subuid and /etc/subgid'
}
