#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What changes while cob looks at it: the context under a build, the store under two processes, the
# clock. Each loop takes a few seconds; COB_LONG_TESTS=1 makes them ten times as long.

load ../lib/cob
setup() {
    cob_setup
    seconds=3
    [ "${COB_LONG_TESTS:-}" != 1 ] || seconds=30
    churn=
}
teardown() {
    [ -z "$churn" ] || kill "$churn" 2>/dev/null || :
    cob_teardown
}

# A regular file has one letter only, and as many of it as the churner writes.
expect_whole() {
    local file=$1 letter n
    n=$(stat -c %s "$file")
    letter=$(head -c 1 "$file")
    [ "$n" -eq 0 ] || [ -z "$(tr -d "$letter" <"$file" | head -c 1)" ] || fail "$file is a mixture of several versions"
    grep -qxE '0|10|5000|300000' <<<"$n" || fail "$file has $n bytes"
}

@test "a context whose files vanish, shrink, grow and turn into links, pipes and sockets" {
    echo canary-text >"$T/canary"
    mkdir -p tree/dir/deep
    printf 'FROM scratch\nCOPY tree /t\n' >Dockerfile
    local end=$((SECONDS + seconds)) n_good=0 n_bad=0 file
    python3 "$project/tests/lib/churn.py" "$T/ctx/tree" "$T/canary" "$((seconds + 1))" 3>&- &
    churn=$!
    while [ "$SECONDS" -lt "$end" ]; do
        run timeout 20 "$COB" build --progress=plain -o "type=local,dest=$T/out" .
        case $status in
        0) n_good=$((n_good + 1)) ;;
        1)
            n_bad=$((n_bad + 1))
            grep -qE '^ERROR: failed to solve: .*\b(f[1-4]|dir|deep|tree|inner)\b' <<<"$output" || fail 'the error names no file:' "$output"
            continue
            ;;
        *) fail "exit code $status" "$output" ;;
        esac
        while read -r file; do
            expect_whole "$file"
        done < <(find "$T/out" -type f ! -name '*~')
        [ -z "$(find "$T/out" -type f -exec grep -l canary-text {} +)" ] || fail 'a link was followed out of the context'
        rm -rf "$T/out"
    done
    wait "$churn" || :
    churn=
    echo "builds: $n_good whole, $n_bad errors"
    [ "$n_good" -gt 0 ] && [ "$n_bad" -gt 0 ] || fail 'the loop shows nothing'
    rm -rf tree && mkdir tree && echo calm >tree/f1
    build_ok -o "type=local,dest=$T/out" .
    expect_file "$T/out/t/f1" calm
    run as_store_owner ls "$COB_ROOT/tmp"
    expect_exact ''
}

@test "a FIFO or socket as source never blocks; as .dockerignore or Dockerfile it is named" {
    printf 'FROM scratch\nADD thing /\n' >Dockerfile
    mkfifo thing
    run timeout 10 "$COB" build .
    expect_status 0
    rm thing
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("thing")'
    run timeout 10 "$COB" build .
    expect_status 0
    rm thing && echo 1 >thing
    mkfifo .dockerignore
    run timeout 10 "$COB" build .
    expect_status 1
    expect_output .dockerignore
    rm .dockerignore && mkfifo Dockerfile.dockerignore
    run timeout 10 "$COB" build .
    expect_status 1
    expect_output Dockerfile.dockerignore
    rm Dockerfile.dockerignore Dockerfile && mkfifo Dockerfile
    run timeout 10 "$COB" build .
    expect_status 1
    expect_output Dockerfile
}

@test "a device as source is not read, as .dockerignore or Dockerfile it is refused" {
    need_root
    mknod thing c 1 5 || skip_or_fail 'no devices can be made here'
    printf 'FROM scratch\nADD thing /\n' >Dockerfile
    run timeout 10 "$COB" build .
    expect_status 0
    rm thing && echo 1 >thing && mknod .dockerignore c 1 5
    run timeout 10 "$COB" build .
    expect_status 1
    expect_output .dockerignore
}

# in_loop NAME COMMAND...: until the time is over; what it said last, and with which exit code, is in
# $T/NAME. Exit codes other than 0 and 1 are crashes.
in_loop() {
    local name=$1 end=$((SECONDS + seconds)) n=0 code
    shift
    while [ "$SECONDS" -lt "$end" ]; do
        code=0
        "$@" >"$T/$name" 2>&1 || code=$?
        if [ "$code" -gt 1 ]; then
            echo "exit code $code of $*: $(cat "$T/$name")" >>"$T/crashes"
        fi
        [ "$code" -eq 0 ] || grep -h '^ERROR' "$T/$name" >>"$T/errors.$name" || echo "no error: $(cat "$T/$name")" >>"$T/crashes"
        n=$((n + 1))
    done
    echo "$n" >"$T/n.$name"
}

all_loops_ran() {
    local file
    for file in "$T"/n.*; do
        echo "${file##*/n.}: $(cat "$file")"
        [ "$(cat "$file")" -gt 1 ] || fail "${file##*/} did not loop"
    done
}

salted_build() {
    "$COB" build -q -t app --build-arg "SALT=$RANDOM" .
}

@test "a build and rmi of its base and its result, du, images, at the same time: nothing lost, no crash" {
    busybox_image
    printf 'FROM busybox AS base\nFROM base\nARG SALT\nCOPY f /\nWORKDIR /w/$SALT\n' >Dockerfile
    echo 1 >f
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c echo kept >/c/f\n' >Dockerfile.cache
    build_ok -f Dockerfile.cache -t keep .
    local -a pids=()
    in_loop build1 salted_build 3>&- & pids+=($!)
    in_loop build2 salted_build 3>&- & pids+=($!)
    in_loop rmi "$COB" rmi app 3>&- & pids+=($!)
    in_loop base bash -c '"$COB" rmi busybox; "$0" image busybox busybox' "$project/tools/stand-ins" 3>&- & pids+=($!)
    in_loop du "$COB" du 3>&- & pids+=($!)
    in_loop images "$COB" images 3>&- & pids+=($!)
    wait "${pids[@]}" || :
    [ ! -e "$T/crashes" ] || fail "$(cat "$T/crashes")"
    all_loops_ran
    # A base may be gone at the moment when it is asked for, an image when it is removed: nothing else.
    run bash -c 'cat "$1"/errors.* 2>/dev/null | grep -vE "no such image|busybox|app:latest" | sort | uniq -c' - "$T"
    expect_exact ''
    [ ! -e "$T/errors.du" ] && [ ! -e "$T/errors.images" ] || fail "$(cat "$T"/errors.{du,images})"
    busybox_image
    build_ok -t app --build-arg SALT=last .
    in_image app 'cat /f; ls -d /w/last'
    expect_exact $'1\n/w/last'
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c cat /c/f; echo %s\n' "$RANDOM" >Dockerfile.cache
    build_ok -f Dockerfile.cache .
    expect_line '#[0-9]+ [0-9.]+ kept'
    run "$COB" images
    expect_output keep
}

@test "pulls of one image, rmi of it and a build on it, at the same time" {
    need_program docker-registry skopeo
    # shellcheck source=/dev/null
    source "$project/tests/lib/registry.sh"
    registry_start plain
    busybox_image
    head -c 3000000 /dev/urandom >big
    printf 'FROM busybox\nCOPY big /\n' >Dockerfile
    build_ok -o "type=oci,dest=$T/big.tar" .
    mkdir -p "$T/tmp"
    TMPDIR=$T/tmp skopeo copy -q --insecure-policy --dest-tls-verify=false "oci-archive:$T/big.tar" "docker://$REGISTRY/big:1"
    COB_ROOT=$store/second
    printf 'FROM %s/big:1\nARG SALT\nWORKDIR /w/$SALT\n' "$REGISTRY" >Dockerfile
    local -a pids=()
    in_loop pull1 "$COB" pull -q "$REGISTRY/big:1" 3>&- & pids+=($!)
    in_loop pull2 "$COB" pull -q "$REGISTRY/big:1" 3>&- & pids+=($!)
    in_loop rmi "$COB" rmi -f "$REGISTRY/big:1" 3>&- & pids+=($!)
    in_loop build salted_build 3>&- & pids+=($!)
    in_loop du "$COB" du 3>&- & pids+=($!)
    wait "${pids[@]}" || :
    [ ! -e "$T/crashes" ] || fail "$(cat "$T/crashes")"
    all_loops_ran
    run bash -c 'cat "$1"/errors.* 2>/dev/null' - "$T"
    expect_exact ''
    run "$COB" pull -q "$REGISTRY/big:1"
    registry_stop
    expect_status 0
    in_image "$REGISTRY/big:1" 'sha256sum </big'
    expect_output "$(sha256sum <big | cut -d' ' -f1)"
}

@test "the clock: ten years off, 1970 and past 2038: hits stay hits, nothing is lost" {
    need_program cc
    cc -shared -fPIC -O1 -D_GNU_SOURCE -o "$T/faulty.so" "$project/tests/lib/faulty.c"
    busybox_image
    printf 'FROM busybox\nARG SALT\nCOPY f /\nRUN echo %s >/r\nWORKDIR /w/$SALT\n' "$RANDOM" >Dockerfile
    echo 1 >f
    build_ok -t app --build-arg SALT=now .
    local offset now
    now=$(date +%s)
    for offset in 315360000 -315360000 "-$now" $((4102444800 - now)); do
        run env LD_PRELOAD="$T/faulty.so" FAULTY_CLOCK="$offset" "$COB" build --progress=plain -t app --build-arg SALT=now .
        expect_status 0
        expect_equal "$(n_cached)" 3 "steps from the cache, $offset seconds off"
        run env LD_PRELOAD="$T/faulty.so" FAULTY_CLOCK="$offset" "$COB" build --progress=plain -t "app$offset" --build-arg "SALT=$offset" .
        expect_status 0
        run env LD_PRELOAD="$T/faulty.so" FAULTY_CLOCK="$offset" "$COB" images
        expect_status 0
        expect_output app busybox
        run env LD_PRELOAD="$T/faulty.so" FAULTY_CLOCK="$offset" "$COB" du
        expect_status 0
        build_ok -t app --build-arg "SALT=$offset" .
        expect_equal "$(n_cached)" 3 'steps from the cache, with the right time again'
        echo "changed $offset" >f
        run env LD_PRELOAD="$T/faulty.so" FAULTY_CLOCK="$offset" "$COB" build --progress=plain -t app --build-arg SALT=now .
        expect_status 0
        in_image app 'cat /f'
        expect_exact "changed $offset"
        echo 1 >f
        build_ok -t app --build-arg SALT=now .
        in_image app 'cat /f'
        expect_exact 1
    done
}

@test "exit codes and last lines: 1, or 125 of run, and one ERROR line, whatever went wrong" {
    printf 'FROM scratch\nCOPY none /\n' >Dockerfile.copy
    printf 'FRO scratch\n' >Dockerfile.syntax
    local -a args
    local row n=0
    while IFS= read -r row; do
        read -ra args <<<"$row"
        run --separate-stderr "$COB" "${args[@]}"
        # As docker does: 125 is `run` itself, what is less the program's own.
        if [ "${args[0]}" = run ]; then expect_status 125; else expect_status 1; fi
        # shellcheck disable=SC2154
        [[ ${stderr_lines[-1]} == ERROR:\ * || ${stderr_lines[-1]} == *"--help"* ]] || fail "$row: the last line is" "${stderr_lines[-1]}"
        expect_equal "$output" '' "standard output of $row"
        n=$((n + 1))
    done <<'END'
build -f Dockerfile.copy .
build -f Dockerfile.syntax .
build -f none .
build none
build --target none -f Dockerfile.copy .
build -o type=none -f Dockerfile.copy .
build --no-such-flag .
pull UPPER
pull 127.0.0.1:1/none
rmi none
run none
images too many
nothing
END
    expect_equal "$n" 13 rows
}
