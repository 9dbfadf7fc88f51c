#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Where a secret must not be: on the disk, in a log, in anybody's arguments or environment.

load ../lib/cob
setup() {
    cob_setup
    busybox_image
    secret=sEcReT-$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')
    umask 077 && printf %s "$secret" >"$HOME/s" && umask 022
    touch "$T/begin"
}
teardown() { cob_teardown; }

# What step the secret is for: a file, one that another user reads, one in a cache mount, a variable;
# it runs the command given.
secret_step() { # command
    # shellcheck disable=SC2016
    printf 'FROM busybox\nRUN --mount=type=secret,id=s --mount=type=secret,id=s,target=/o/s,uid=1000,mode=0440 --mount=type=cache,target=/c --mount=type=secret,id=s,target=/c/s --mount=type=secret,id=s,env=V cmp /run/secrets/s /o/s && cmp /c/s /o/s && [ "$V" = "$(cat /o/s)" ] && echo in-the-step && %s\n' "$1" >Dockerfile
}

# Files that have it: the store with its database and blobs, the scratch folder, what is new in /tmp
# and /var/tmp, core files.
expect_no_secret() { # what
    local found
    found=$(grep_store "$secret") || return 1
    expect_equal "$found" '' "files of the store with the secret after $1" || return 1
    mv "$HOME/s" "$HOME/s.away" && found=$(grep -rlaF -e "$secret" --exclude=s.away "$T" 2>/dev/null || true)
    mv "$HOME/s.away" "$HOME/s"
    expect_equal "$found" '' "files of the test with the secret after $1" || return 1
    found=$(find /tmp /var/tmp /var/crash /var/lib/systemd/coredump "$PWD" -xdev -type f -newer "$T/begin" \
        ! -path "$T/*" -size -200M -user "$(id -u)" -exec grep -laF -e "$secret" {} + 2>/dev/null || true)
    expect_equal "$found" '' "new files with the secret after $1"
}

# holders FILE: the processes whose arguments or environment have the secret.
holders() { # cmdline|environ
    local file
    for file in /proc/[0-9]*/"$1"; do
        { tr '\0' '\n' <"$file"; } 2>/dev/null | grep -qaF -e "$secret" && echo "$file: $(tr '\0' ' ' <"${file%/*}/cmdline")"
    done
    true
}

@test "secret: is on no disk after success, after a failure, and with all tracing on" {
    local end
    for end in true false; do
        secret_step "$end"
        COB_TRACE=3 build -t "s-$end" --secret "id=s,src=$HOME/s" -o "type=oci,dest=$T/s-$end.tar" .
        expect_status "$([ $end = true ] && echo 0 || echo 1)"
        expect_output in-the-step
        refuse_output "$secret"
        expect_no_secret "$end"
    done
}

@test "secret: is on no disk after kill -9 in its step, and in no arguments or environment while it runs" {
    secret_step 'while true; do sleep 0.1; done'
    "$COB" build --progress=plain --secret "id=s,src=$HOME/s" . >"$T/log" 2>&1 3>&- &
    local pid=$! n
    wait_for 20 grep -q '[0-9] in-the-step' "$T/log"
    expect_equal "$(holders cmdline)" '' 'arguments with the secret'
    n=$(holders environ | grep -cv -e '/bin/sh -c cmp' -e 'sleep 0.1' || true)
    expect_equal "$n" 0 "environments with the secret, but the step's"
    kill -KILL "$pid"
    wait "$pid" || true
    expect_no_secret 'kill -9'
    expect_nothing_left
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c true\n' >Dockerfile # what was left is cleared away
    build_ok .
    expect_no_secret 'the next build'
}

@test "secret: a runtime that cannot start the step does not say it" {
    printf 'FROM busybox\nRUN --mount=type=secret,id=s --mount=type=secret,id=s,env=V ["/nope"]\n' >Dockerfile
    COB_TRACE=3 build --secret "id=s,src=$HOME/s" .
    expect_status 1
    expect_output '/nope'
    refuse_output "$secret"
    expect_no_secret 'a program that is not there'
    for target in /proc/s /dev/null /etc; do
        printf 'FROM busybox\nRUN --mount=type=secret,id=s,target=%s true\n' "$target" >Dockerfile
        COB_TRACE=3 build --secret "id=s,src=$HOME/s" .
        expect_status 1
        refuse_output "$secret"
    done
    expect_no_secret 'targets that are refused'
}

@test "secret: a step that dies by a signal leaves no core file" {
    secret_step 'ulimit -c unlimited 2>/dev/null; cd /tmp; kill -SEGV $(sh -c "echo \$PPID"); sh -c "kill -ABRT \$\$"; ls /tmp | grep core; exit 1'
    build --secret "id=s,src=$HOME/s" .
    expect_status 1
    expect_no_secret 'a signal'
}
