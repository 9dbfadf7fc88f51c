# SPDX-License-Identifier: Apache-2.0
# What every bats file of cob loads: a store and a scratch folder for each test, base images, and
# checks that say what they got and what they wanted.
#
#     load ../lib/cob
#     setup() { cob_setup; }
#     teardown() { cob_teardown; }

bats_require_minimum_version 1.5.0
project=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
COB=${COB:-$(command -v cob)} || {
    echo "no cob on PATH, and COB is not set: run ./dev test" >&2
    exit 1
}
export COB
export -n COB_ROOT

# --- a scratch folder, a store ---

cob_setup() {
    umask 022
    T=$BATS_TEST_TMPDIR
    chmod 755 "$T"
    # In /var/tmp: an overlay wants a real file system, and /tmp may be a tmpfs.
    store=$(mktemp -d /var/tmp/cob-test.XXXXXX)
    export COB_ROOT=$store/root HOME=$T/home DOCKER_CONFIG=$T/home/.docker
    unset BUILDKIT_PROGRESS XDG_CONFIG_HOME COB_CONFIG
    mkdir -p "$HOME" "$T/ctx"
    cd "$T/ctx" || return 1
}

cob_teardown() {
    cd / || return 1
    [ -z "${KEEP:-}" ] || { echo "kept: $store $T" >&2 && return 0; }
    expect_nothing_left
    remove_tree "$store"
}

# For tests that share a store in one file: setup_file() { shared_store_make; }, and
# shared_store_use after cob_setup. What they tag must differ.
shared_store_make() {
    SHARED_STORE=$(mktemp -d /var/tmp/cob-test.XXXXXX)
    export SHARED_STORE
}

shared_store_use() {
    COB_ROOT=$SHARED_STORE/root
}

shared_store_remove() {
    remove_tree "$SHARED_STORE"
}

# A store of an unprivileged user has files of his subordinate ids.
remove_tree() {
    rm -rf "$1" 2>/dev/null ||
        unshare --user --map-users=auto --map-groups=auto --map-root-user rm -rf "$1"
}

# as_store_owner COMMAND...: with the ids of the store, to look into it.
as_store_owner() {
    if is_root; then
        "$@"
    else
        unshare --user --map-users=auto --map-groups=auto --map-root-user "$@"
    fi
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

# --- skipping ---

# In CI a machine that cannot run a test is a failure.
skip_or_fail() {
    if [ "${COB_MUST_WORK:-}" = 1 ]; then
        echo "cannot run here, and COB_MUST_WORK=1: $1" >&2
        return 1
    fi
    skip "$1"
}

need_root() {
    is_root || skip "only root can do this"
}

need_program() {
    local program
    for program; do
        command -v "$program" >/dev/null || skip_or_fail "$program is not installed"
    done
}

# The mirror is the one that this machine's apt uses.
need_debian_mirror() {
    local mirror
    mirror=${COB_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' | sort -u | head -n 1)}
    curl -fsS -m 10 -o "$BATS_TEST_TMPDIR/release" "$mirror/dists/bookworm/InRelease" ||
        skip_or_fail "no Debian mirror can be reached"
}

# --- images, Dockerfiles, builds ---

# busybox_image [NAME]: in this test's store.
busybox_image() {
    "$project/tools/stand-ins" image busybox "${1:-busybox}"
}

# dockerfile [FILE] <<EOF: in the context, which is the current folder.
dockerfile() {
    cat >"${1:-Dockerfile}"
}

# build ARGUMENT...: the output as lines; standard error is in $output too.
build() {
    run "$COB" build --progress=plain "$@"
}

# build_ok ARGUMENT...: it must succeed.
build_ok() {
    build "$@"
    expect_status 0
}

# build_fails ARGUMENT...: it must fail with exit code 1.
build_fails() {
    build "$@"
    expect_status 1
}

# in_image IMAGE SCRIPT: run a script by the image's shell; its output is in $output.
in_image() {
    run "$COB" run --quiet --rm --entrypoint /bin/sh "$1" -c "$2"
}

# config_of IMAGE FILTER: a value of its configuration, by jq.
config_of() {
    local archive=$T/config-of.tar dir=$T/config-of manifest config
    need_program jq
    printf 'FROM %s\n' "$1" >"$T/config-of.Dockerfile"
    rm -rf "$dir" && mkdir -p "$dir" "$T/config-of-ctx"
    "$COB" build --quiet -f "$T/config-of.Dockerfile" -o "type=oci,dest=$archive" "$T/config-of-ctx" \
        >/dev/null || return 1
    tar -C "$dir" -xf "$archive"
    manifest=$(jq -r '.manifests[0].digest' "$dir/index.json")
    config=$(jq -r .config.digest "$dir/blobs/${manifest/:/\/}")
    jq -c "$2" "$dir/blobs/${config/:/\/}"
}

# --- checks ---

fail() {
    printf '%s\n' "$@" >&2
    return 1
}

expect_status() {
    # shellcheck disable=SC2154
    [ "$status" -eq "$1" ] || fail "exit code: got $status, wanted $1; output:" "$output"
}

# expect_output TEXT...: each occurs somewhere.
expect_output() {
    local text
    for text; do
        [[ $output == *"$text"* ]] || fail "wanted in the output: $text" "got:" "$output" || return 1
    done
}

refuse_output() {
    local text
    for text; do
        [[ $output != *"$text"* ]] || fail "not wanted in the output: $text" "got:" "$output" || return 1
    done
}

# expect_line PATTERN: a line that matches an extended regular expression as a whole.
expect_line() {
    grep -qxE -- "$1" <<<"$output" || fail "wanted a line like: $1" "got:" "$output"
}

expect_equal() { # got wanted [what]
    [ "$1" = "$2" ] || fail "${3:-value}: got:" "$1" "wanted:" "$2"
}

expect_exact() { # wanted output, to the byte
    expect_equal "$output" "$1" output
}

expect_file() { # path wanted-content
    [ -e "$1" ] || fail "no such file: $1" || return 1
    expect_equal "$(cat "$1")" "$2" "$1"
}

# n_cached: how many steps of the last build, beside FROM, came from the cache.
n_cached() {
    grep -E -B1 '^#[0-9]+ CACHED$' <<<"$output" | grep -E '^#[0-9]+ \[' | grep -cvE '\] FROM ' || true
}

# --- what must never be left ---

processes_of_store() {
    local pid
    for pid in /proc/[0-9]*; do
        pid=${pid#/proc/}
        case "$(readlink "/proc/$pid/exe" 2>/dev/null)" in
        */cob | */crun | */runc | */slirp4netns | */pasta | */pasta.avx2 | */passt*) ;;
        *) continue ;;
        esac
        if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qxF "COB_ROOT=$COB_ROOT" ||
            tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$COB_ROOT"; then
            echo "$pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
        fi
    done
}

# No process and no mount, within two seconds.
expect_nothing_left() {
    local left n_tries=0
    while left=$(processes_of_store) && [ -n "$left" ] && [ $((n_tries += 1)) -lt 10 ]; do
        sleep 0.2
    done
    [ -z "$left" ] || fail "processes are left:" "$left" || return 1
    ! grep -F "${COB_ROOT%/root}" /proc/self/mounts || fail "mounts are left"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "waited in vain for: $*" || return 1
        sleep 0.05
    done
}

# grep_store TEXT: the files of store and scratch that have it, also inside of gzip and zstd blobs.
grep_store() {
    # shellcheck disable=SC2016
    as_store_owner bash -c '
        grep -rlaF -- "$1" "$2" 2>/dev/null
        find "$2" -type f -size +0 2>/dev/null | while IFS= read -r file; do
            { gzip -dcq "$file" 2>/dev/null || zstd -dcq "$file" 2>/dev/null; } |
                grep -qaF -- "$1" && printf "%s (compressed)\n" "$file"
        done
        true' grep_store "$1" "${COB_ROOT%/root}"
}
