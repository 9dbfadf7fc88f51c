#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Mounts of steps that want to be somewhere else: sources and targets that are symlinks, also such
# that change while a mount is made. A folder of the host, the canary, stays as it is and is not seen.
#
# COB_RACE_SECONDS: how long each race goes on (default 3).

load ../lib/cob
setup() {
    cob_setup
    canary=$T/canary
    marker=cAnArY-$RANDOM$RANDOM$RANDOM$RANDOM
    mkdir -p "$canary/x/y" "$canary/w" && echo "$marker" >"$canary/f" && : >"$canary/empty"
    chmod -R a+rwX "$canary"
    before=$(canary_state)
    busybox_image
}
teardown() {
    [ -z "${swap_pid:-}" ] || { kill "$swap_pid" && wait "$swap_pid"; } || :
    cob_teardown
}

canary_state() {
    (cd "$canary" && find . -printf '%p %y %m %U:%G %s %T@ %C@ %l\n' | sort && cat f)
}

# After a build of something hostile: it may have failed, but the canary is whole and was not seen.
check_canary() { # what
    [ "$status" -le 1 ] || fail "$1: exit code $status" "$output" || return 1
    refuse_output "$marker" || return 1
    expect_equal "$(canary_state)" "$before" "the canary after $1"
}

# --- races ---

# A build in the background that exchanges the folder /c/sub and a symlink to the canary in the cache
# mount "race" until there is a file /c/stop.
start_swapping() {
    need_program gcc
    gcc -O1 -static -o exchange "$project/tests/lib/exchange.c" || skip_or_fail 'no static libc'
    mkdir "$T/swap" && cp exchange "$T/swap/"
    dockerfile "$T/swap/Dockerfile" <<END
FROM busybox
COPY exchange /bin/
RUN --mount=type=cache,id=race,target=/c mkdir -p /c/sub/x && echo inside >/c/sub/in && ln -s $canary /c/link && echo swapping && exchange /c/sub /c/link /c/stop
END
    "$COB" build --progress=plain "$T/swap" >"$T/swap/log" 2>&1 3>&- &
    swap_pid=$!
    wait_for 20 grep -q '[0-9] swapping$' "$T/swap/log"
}

stop_swapping() {
    printf 'FROM busybox\nRUN --mount=type=cache,id=race,target=/c touch /c/stop\n' >Dockerfile
    build_ok .
    wait "$swap_pid"
    swap_pid=
    grep -E '[0-9] exchanged [0-9]+ times' "$T/swap/log" || fail 'nothing was exchanged' "$(cat "$T/swap/log")"
}

# Builds of ./Dockerfile, again and again, while the other one swaps: each may fail only because a
# name changed, or because there is a file where a folder should be.
race() { # what
    local end=$((SECONDS + ${COB_RACE_SECONDS:-3})) n_good=0 n=0
    while [ "$SECONDS" -lt "$end" ] || [ "$n" -lt 3 ]; do
        run timeout 60 "$COB" build --no-cache --progress=plain --secret "id=s,src=$T/secret" .
        check_canary "$1" || return 1
        n=$((n + 1))
        if [ "$status" -eq 0 ]; then
            n_good=$((n_good + 1))
        else
            grep -qE 'ERROR: .*(changed while it was looked at|[Nn]o such file|[Nn]ot a directory|[Ff]ile exists|oo many levels of symlinks|Invalid argument)' <<<"$output" ||
                fail "$1: another error:" "$output" || return 1
        fi
    done
    echo "$n builds, $n_good succeeded"
}

# The Dockerfile of a build whose mount points are in the folder that is exchanged: many, because each
# is one more moment to be hit.
targets_that_move() {
    local many
    echo secret-text >"$T/secret" && chmod 644 "$T/secret"
    many=$(seq -f '--mount=type=secret,id=s,target=/c/sub/s%g' -s ' ' 60)
    dockerfile <<END
FROM busybox AS one
WORKDIR /c/sub/w
RUN --mount=type=cache,id=race,target=/c --mount=type=tmpfs,target=/c/sub/x $many --mount=type=bind,from=busybox,source=/etc,target=/c/link/x/y cat /c/*/f /c/*/*/f 2>/dev/null; for f in /c/*/evil /c/*/x/evil; do echo evil >\$f; done 2>/dev/null; ls /c >/dev/null
FROM busybox AS two
RUN --mount=type=cache,id=race,target=/c --mount=type=cache,id=other,target=/c/sub/deep/er cat /c/*/f 2>/dev/null; echo evil >/c/sub/deep/er/evil; true
FROM busybox
COPY --from=one /etc/passwd /1
COPY --from=two /etc/passwd /2
END
}

@test "race: mount targets in a cache mount whose folder turns into a link and back" {
    start_swapping
    targets_that_move
    race 'targets in a cache mount'
    stop_swapping
    expect_equal "$(canary_state)" "$before" 'the canary at the end'
}

@test "race: mount targets in a cache mount, with runc" {
    need_program runc
    mkdir "$T/bin" && ln -s /usr/bin/* "$T/bin/" && rm -f "$T/bin/crun"
    start_swapping
    targets_that_move
    PATH=$T/bin:/usr/sbin:/sbin race 'targets in a cache mount, with runc'
    stop_swapping
    expect_equal "$(canary_state)" "$before" 'the canary at the end'
}

@test "race: a cache mount's source=, and the whole of it, while its folders are exchanged" {
    echo secret-text >"$T/secret"
    start_swapping
    dockerfile <<'END'
FROM busybox AS one
RUN --mount=type=cache,id=race,source=sub,target=/m cat /m/f /m/*/f 2>/dev/null; echo evil >/m/evil; true
FROM busybox AS two
RUN --mount=type=cache,id=race,source=link,target=/m,ro cat /m/f /m/*/f 2>/dev/null; true
FROM busybox
COPY --from=one /etc/passwd /1
COPY --from=two /etc/passwd /2
END
    race 'source= of a cache mount'
    stop_swapping
    expect_equal "$(canary_state)" "$before" 'the canary at the end'
}

@test "race: four builds whose bind sources are links of other stages" {
    local n pid
    local -a pids=()
    for n in 1 2 3 4; do
        mkdir "$T/b$n"
        dockerfile "$T/b$n/Dockerfile" <<END
FROM busybox AS source
RUN mkdir /d && echo own >/d/f && ln -s $canary /l && ln -s /l /d/l && echo $n >/n
FROM busybox
RUN --mount=type=bind,from=source,target=/m cat /m/l/f /m/d/l/f 2>/dev/null; cat /m/d/f
RUN --mount=type=bind,from=source,source=/d,target=/m,rw cat /m/l/f 2>/dev/null; rm /m/l && ln -s $canary /m/l && echo evil >/m/l/evil; true
RUN --mount=type=bind,from=source,source=/d/f,target=/m/l/f cat /m/l/f
END
        timeout 60 "$COB" build --no-cache --progress=plain "$T/b$n" >"$T/b$n/log" 2>&1 3>&- &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || fail "a build failed" "$(cat "$T"/b?/log)"; done
    status=0 output=$(cat "$T"/b?/log)
    check_canary 'four builds'
}

# --- links that stay as they are ---

@test "bind mount: a source of an image that is a link stays in the image" {
    dockerfile <<END
FROM busybox
RUN ln -s / /d1 && ln -s ../../.. /d2 && ln -s /proc/self/root /d3 && ln -s /proc/1/cwd /d4 && ln -s /proc/self/fd /d5 && ln -s $canary /d6 && ln -s /d1/d2/etc /d7
END
    build_ok -t links .
    local way rw
    for rw in ro rw; do
        for way in d1 d2 d7 d1/d2/../d1/etc; do
            printf 'FROM busybox\nRUN --mount=type=bind,from=links,source=/%s,target=/m,%s ls /m /m/etc; cat /m%s/f; rm -rf /m%s; true\n' "$way" "$rw" "$canary" "$canary" >Dockerfile
            build_ok .
            check_canary "source=$way,$rw"
            expect_line '#[0-9]+ [0-9.]+ passwd'
        done
        for way in d3 d4 d5 d6 d3/etc d5/0 ../../../../../../proc/self/root; do
            printf 'FROM busybox\nRUN --mount=type=bind,from=links,source=/%s,target=/m,%s ls /m; cat /m/f /m%s/f\n' "$way" "$rw" "$canary" >Dockerfile
            build_fails .
            check_canary "source=$way,$rw"
            expect_output ": not found"
        done
    done
}

@test "bind mount: no option of mount(8) passes through" {
    local option
    for option in bind-propagation=rshared bind-propagation=rshared,dev,suid suid dev exec rbind=1 relabel=shared z; do
        printf 'FROM busybox\nRUN --mount=type=bind,from=busybox,target=/m,%s true\n' "$option" >Dockerfile
        build_fails .
        expect_output "'${option%%[=,]*}'"
    done
}

@test "cache mount: an id is never a name on the disk" {
    local id n=0
    for id in ../x /etc ../../../../etc a/../../b . .. '' "$(printf 'a\nb')" "$(printf '\033[2J')" "$(head -c 4096 /dev/zero | tr '\0' a)"; do
        # shellcheck disable=SC2016
        printf 'FROM busybox\nARG ID\nRUN --mount=type=cache,id=$ID,target=/c echo x >>/c/n; echo count=$(wc -l </c/n) %s\n' $((n += 1)) >Dockerfile
        build --build-arg "ID=$id" .
        [ "$status" -le 1 ]
    done
    printf 'FROM busybox\nRUN --mount=type=cache,id=a\0b,target=/c true\n' >Dockerfile
    build_fails .
    expect_output 'NUL byte'
    # shellcheck disable=SC2016
    run as_store_owner sh -c 'ls "$COB_ROOT/mounts" | grep -vxE "[0-9a-f]{64}-[0-9]+"; ls "$COB_ROOT/.."'
    expect_exact root
}

@test "mount points: a step that puts a link in their place does not move the clearing away" {
    dockerfile <<END
FROM busybox
RUN mkdir /a && touch -d '2001-02-03 04:05:06' /a
RUN --mount=type=tmpfs,target=/a/x/y --mount=type=secret,id=none,target=/a/empty,required=false true
RUN stat -c 'a=%Y' /a; [ ! -e /a/x ]
RUN --mount=type=tmpfs,target=/p/x/y mv /p/x /p/old && ln -s $canary/x /p/x
RUN --mount=type=tmpfs,target=/q/x/y mv /q /old && ln -s $canary /q
RUN --mount=type=bind,from=busybox,source=/etc/passwd,target=/r/empty mv /r /old2 && ln -s $canary /r
END
    build_ok .
    check_canary 'mount points'
    expect_line '#[0-9]+ [0-9.]+ a=981173106'
}

@test "mount points: links that a cache mount was left with lead nowhere else" {
    echo the-secret >"$T/secret" && chmod 644 "$T/secret"
    dockerfile <<END
FROM busybox
RUN --mount=type=cache,id=left,target=/c ln -s $canary/f /c/hosts; ln -s $canary /c/dir; ln -s ../../../../..$canary/f /c/up; ln -s loop /c/loop
END
    build_ok .
    local target
    for target in hosts dir/f dir/new up dir/x/y; do
        dockerfile <<END
FROM busybox
RUN --mount=type=cache,id=left,target=/c --mount=type=secret,id=s,target=/c/$target cat /c/$target | tr s S
RUN --mount=type=cache,id=left,target=/c --mount=type=tmpfs,target=/c/dir/t$target true
END
        build --secret "id=s,src=$T/secret" .
        check_canary "a secret at $target"
        [ "$status" -eq 1 ] || expect_output the-Secret
    done
    printf 'FROM busybox\nRUN --mount=type=cache,id=left,target=/c --mount=type=tmpfs,target=/c/loop/x true\n' >Dockerfile
    build_fails .
    expect_output 'too many levels of symlinks'
    # A cache over the folder of the files that cob writes.
    printf 'FROM busybox\nRUN --mount=type=cache,id=left,target=/etc ls -l /etc; true\n' >Dockerfile
    build_ok .
    check_canary 'a cache on /etc'
}

@test "WORKDIR through a link, as another USER: the folder is made in the image alone" {
    dockerfile <<END
FROM busybox
RUN mkdir -p $canary && chmod 777 $canary && ln -s $canary/new /w && ln -s ../../../../../..$canary /up
USER 1000
WORKDIR /w/x
WORKDIR /up/y
RUN pwd; ls -d $canary/new/x $canary/y; touch here
USER root
RUN rm -rf $canary /w /up
END
    build_ok .
    check_canary WORKDIR
    expect_line "#[0-9]+ [0-9.]+ $canary/y"
    expect_line "#[0-9]+ [0-9.]+ $canary/new/x"
    [ ! -e "$canary/new" ] && [ ! -e "$canary/y" ]
}
