#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Cache mounts under load: many builds at once, and those that are killed.

load ../lib/cob
setup() { cob_setup && busybox_image; }
teardown() { cob_teardown; }

# A step that uses the mount for a moment and counts what it must not see.
step() { # sharing number
    local body
    case $1 in
    shared) body='[ -e /c/primary ] || echo WRONG empty; [ ! -e /c/alone ] || echo WRONG beside; : >/c/with.$N; sleep 0.1; rm /c/with.$N' ;;
    locked) body='[ -e /c/primary ] || echo WRONG empty; for f in /c/alone /c/with.*; do [ ! -e $f ] || echo WRONG beside $f; done; : >/c/alone; sleep 0.1; rm /c/alone' ;;
    private) body='for f in /c/alone /c/with.*; do [ ! -e $f ] || echo WRONG beside $f; done; if [ -e /c/primary ]; then : >/c/alone; sleep 0.1; rm /c/alone; else sleep 0.1; fi' ;;
    esac
    printf 'FROM busybox\nRUN --mount=type=cache,id=load,target=/c,sharing=%s N=%s; %s; : >/c/by.%s; true\n' "$1" "$2" "$body" "$2"
}

# eight FIRST SECOND: builds at once, four of each.
eight() {
    local n pids=() sharing=("$1" "$2")
    for n in 0 1 2 3 4 5 6 7; do
        mkdir -p "$T/$n"
        step "${sharing[n % 2]}" "$n" >"$T/$n/Dockerfile"
        "$COB" build --progress=plain --no-cache "$T/$n" >"$T/$n/log" 2>&1 3>&- &
        pids+=($!)
    done
    for n in "${pids[@]}"; do
        wait "$n" || fail "a build of $1 and $2 failed" "$(cat "$T"/[0-7]/log)"
    done
    ! grep -h '^#[0-9]* [0-9.]* WRONG' "$T"/[0-7]/log || fail "of $1 and $2"
    expect_equal "$("$COB" cache inspect --format '{{.Forks}} {{.Files}} {{.Uses}}' load)" '0 9 9' "forks, files and uses of $1 and $2"
}

begin() {
    "$COB" cache rm -f load
    printf 'FROM busybox\nRUN --mount=type=cache,id=load,target=/c : >/c/primary\n' >Dockerfile
    build_ok --no-cache .
}

@test "eight builds at once, of every pair of modes" {
    local pair
    for pair in 'shared shared' 'shared locked' 'shared private' 'locked locked' 'locked private' 'private private'; do
        begin
        # shellcheck disable=SC2086
        eight $pair
    done
}

# hold FOLDER ID SHARING [SECONDS]: in the background, a build that has the mount.
hold() {
    mkdir -p "$1"
    printf 'FROM busybox\nRUN --mount=type=cache,id=%s,target=/c,sharing=%s echo in-the-step; sleep %s; echo done >>/c/log\n' "$2" "$3" "${4:-60}" >"$1/Dockerfile"
    "$COB" build --progress=plain --no-cache -t "holder-${1##*/}" "$1" >"$1/log" 2>&1 3>&- &
    holder=$!
    wait_for 20 grep -q '^#[0-9]* [0-9.]* in-the-step' "$1/log"
}

@test "a build that is killed gives its lock up at once, and those who wait go on" {
    hold "$T/h" l locked
    printf 'FROM busybox\nRUN --mount=type=cache,id=l,target=/c,sharing=locked echo mine-now; test ! -e /c/log\n' >Dockerfile
    "$COB" build --progress=plain . >"$T/waiter" 2>&1 3>&- &
    local waiter=$! begun
    wait_for 20 grep -qE 'waiting for cache mount "l", held by build holder-h \(pid [0-9]+\) \(\[2/2\] RUN ' "$T/waiter"
    kill -KILL "$holder"
    begun=$(date +%s%N)
    wait "$waiter" || fail "$(cat "$T/waiter")"
    local took=$((($(date +%s%N) - begun) / 1000000))
    [ $took -lt 1500 ] || fail "it took $took ms"
    wait "$holder" || true
    run "$COB" cache inspect --format '{{json .InUseBy}}' l
    expect_exact '[]'
}

@test "a waiter says again that it waits, with the seconds" {
    hold "$T/h" l locked 12
    printf 'FROM busybox\nRUN --mount=type=cache,id=l,target=/c,sharing=shared cat /c/log\n' >Dockerfile
    build_ok .
    expect_output 'held by build holder-h (pid ' ') (10 s)'
    expect_equal "$(grep -c 'waiting for cache mount' <<<"$output")" 2
    wait "$holder"
}

@test "who waits is cancelled within 0.2 s" {
    hold "$T/h" l locked
    printf 'FROM busybox\nRUN --mount=type=cache,id=l,target=/c,sharing=locked true\n' >Dockerfile
    "$COB" build --progress=plain . >"$T/waiter" 2>&1 3>&- &
    local waiter=$! code=0 begun
    wait_for 20 grep -q 'waiting for cache mount' "$T/waiter"
    begun=$(date +%s%N)
    kill -INT "$waiter"
    wait "$waiter" || code=$?
    local took=$((($(date +%s%N) - begun) / 1000000))
    expect_equal "$code" 130
    # under sanitizers and beside other tests the end of a process alone takes a while
    [ $took -lt 1000 ] || fail "it took $took ms"
    kill -INT "$holder"
    wait "$holder" || true
}

@test "two mounts in two orders, in several builds and in one, end" {
    local n pids=()
    printf 'FROM busybox AS one\nRUN --mount=type=cache,id=a,target=/1,sharing=locked --mount=type=cache,id=b,target=/2,sharing=locked sleep 0.2\nFROM busybox AS two\nRUN --mount=type=cache,id=b,target=/1,sharing=locked --mount=type=cache,id=a,target=/2,sharing=locked sleep 0.2; true\nFROM busybox\nCOPY --from=one /bin/sh /1\nCOPY --from=two /bin/sh /2\n' >Dockerfile
    for n in 1 2 3 4; do
        timeout 60 "$COB" build --progress=plain --no-cache . >"$T/log.$n" 2>&1 3>&- &
        pids+=($!)
    done
    for n in "${pids[@]}"; do
        wait "$n" || fail "$(cat "$T"/log.*)"
    done
}

@test "a step that has an id both private and shared has the primary directory, alone" {
    begin
    printf 'FROM busybox\nRUN --mount=type=cache,id=load,target=/a,sharing=private --mount=type=cache,id=load,target=/b,sharing=shared ls /a /b\n' >Dockerfile
    build_ok .
    expect_equal "$(grep -cE '^#[0-9]+ [0-9.]+ primary$' <<<"$output")" 2
}

@test "a private directory whose build was killed is joined by the next one" {
    begin
    hold "$T/first" load private 60
    local first=$holder
    printf 'FROM busybox\nRUN --mount=type=cache,id=load,target=/c,sharing=private test ! -e /c/primary && echo forked >/c/from-fork; echo in-the-step; sleep 60\n' >Dockerfile
    "$COB" build --progress=plain . >"$T/second" 2>&1 3>&- &
    local second=$!
    wait_for 20 grep -q '^#[0-9]* [0-9.]* in-the-step' "$T/second"
    expect_equal "$("$COB" cache inspect --format '{{.Forks}}' load)" 1 forks
    kill -KILL "$second" "$first"
    wait "$second" "$first" || true
    printf 'FROM busybox\nRUN --mount=type=cache,id=load,target=/c true\n' >Dockerfile
    build_ok .
    "$COB" cache cp load:from-fork got
    expect_file got forked
    expect_equal "$("$COB" cache inspect --format '{{.Forks}}' load)" 0 forks
}

# --- owner, mode, and what is left in the layer ---

user_image() {
    dockerfile <<'END'
FROM busybox
RUN mkdir -p /home/app/.npm /srv/data && chown -R 1000:1001 /home/app && chmod 700 /home/app/.npm && chmod 2775 /srv/data
END
    build_ok -t user-image .
}

@test "a new mount has mode and owner of the image's directory, else of the step's user" {
    user_image
    dockerfile <<'END'
FROM user-image
USER 1000:1001
RUN --mount=type=cache,target=/home/app/.npm stat -c 'image %u:%g %a' /home/app/.npm && touch /home/app/.npm/f
RUN --mount=type=cache,target=/home/app/.cache/go stat -c 'user %u:%g %a' /home/app/.cache/go && touch /home/app/.cache/go/f
RUN --mount=type=cache,target=/srv/data stat -c 'data %u:%g %a' /srv/data
RUN --mount=type=cache,target=/said,uid=5,gid=6,mode=0711 stat -c 'said %u:%g %a' /said
USER root
RUN --mount=type=cache,target=/root/.cache stat -c 'root %u:%g %a' /root/.cache
RUN --mount=type=cache,id=/home/app/.npm,target=/elsewhere stat -c 'same %u:%g %a' /elsewhere; ls /elsewhere
END
    build_ok .
    expect_line '#[0-9]+ [0-9.]+ image 1000:1001 700'
    expect_line '#[0-9]+ [0-9.]+ user 1000:1001 755'
    expect_line '#[0-9]+ [0-9.]+ data 0:0 2775'
    expect_line '#[0-9]+ [0-9.]+ said 5:6 711'
    expect_line '#[0-9]+ [0-9.]+ root 0:0 755'
    expect_line '#[0-9]+ [0-9.]+ same 1000:1001 700'
    expect_line '#[0-9]+ [0-9.]+ f'
}

@test "no stub of a mount point is left in the layer, nor its parents; what a step puts beside is its user's" {
    user_image
    dockerfile <<'END'
FROM user-image
USER 1000:1001
RUN --mount=type=cache,target=/home/app/.cache/go true
RUN --mount=type=cache,target=/new/deep/dir true
RUN [ ! -e /home/app/.cache ] && [ ! -e /new ] && stat -c 'home %u:%g %a' /home/app
RUN --mount=type=cache,target=/home/app/.cache/go echo side >/home/app/.cache/side
RUN stat -c 'beside %u:%g' /home/app/.cache; ls -A /home/app/.cache; ls -A /home/app/.npm
END
    build_ok -o "type=tar,dest=$T/root.tar" .
    expect_line '#[0-9]+ [0-9.]+ home 1000:1001 755'
    expect_line '#[0-9]+ [0-9.]+ beside 1000:1001'
    expect_line '#[0-9]+ [0-9.]+ side'
    run tar -tf "$T/root.tar"
    refuse_output .cache/go new/
}
