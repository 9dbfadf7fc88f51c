#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# RUN --mount: caches that live on, binds, tmpfs, secrets.

load ../lib/cob
setup() { cob_setup && busybox_image; }
teardown() { cob_teardown; }

# A Dockerfile whose step counts its runs in a cache mount, and prints the count.
counting() { # mount-options [salt]
    # shellcheck disable=SC2016
    printf 'FROM busybox\nRUN --mount=type=cache,%s echo x >>/c/n; echo count=$(wc -l </c/n) %s\n' "$1" "${2:-}" >Dockerfile
}

@test "cache mount: lives on between builds, and --no-cache keeps it" {
    counting target=/c
    build_ok .
    expect_output count=1
    build_ok --no-cache .
    expect_output count=2
    counting target=/c changed
    build_ok .
    expect_output 'count=3'
}

@test "cache mount: lives on between projects" {
    counting target=/c a
    build_ok .
    mkdir "$T/project2" && cd "$T/project2"
    counting target=/c b
    build_ok .
    expect_output count=2
}

@test "cache mount: its id is its identity, not owner, mode, platform or base" {
    counting id=one,target=/c
    build_ok .
    # shellcheck disable=SC2016
    printf 'FROM busybox\nENV other=base\nRUN --mount=type=cache,id=one,target=/d,uid=5,mode=0700 echo x >>/d/n; echo count=$(wc -l </d/n)\n' >Dockerfile
    build_ok .
    expect_output count=2
    counting id=two,target=/c another-step
    build_ok .
    expect_output count=1
}

@test "cache mount: the default id is the cleaned target" {
    counting target=/c a
    build_ok .
    # shellcheck disable=SC2016
    printf 'FROM busybox\nRUN --mount=type=cache,target=//x/../c/ echo x >>/c/n; echo count=$(wc -l </c/n)\n' >Dockerfile
    build_ok .
    expect_output count=2
}

@test "cache mount: a failed step keeps what it wrote" {
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c echo kept >/c/f; exit 1\n' >Dockerfile
    build_fails .
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c cat /c/f\n' >Dockerfile
    build_ok .
    expect_line '#[0-9]+ [0-9.]+ kept'
}

@test "cache mount: is in no layer, and uid, gid and mode are those asked for" {
    printf 'FROM busybox\nRUN --mount=type=cache,target=/cache/dir,uid=12,gid=34,mode=0750 stat -c "%%u %%g %%a" /cache/dir; echo x >/cache/dir/f\n' >Dockerfile
    build_ok -t c -o "type=tar,dest=$T/c.tar" .
    expect_line '#[0-9]+ [0-9.]+ 12 34 750'
    run tar -tf "$T/c.tar"
    refuse_output cache/dir/f
}

@test "cache mount: hostile ids stay within the store" {
    local id n=0
    for id in ../x /etc 'a/../../b' . "$(head -c 4000 /dev/zero | tr '\0' a)" 'sp ace'; do
        # shellcheck disable=SC2016
        printf 'FROM busybox\nRUN --mount=type=cache,"id=%s",target=/c echo x >>/c/n; echo count=$(wc -l </c/n) %s\n' "$id" $((n += 1)) >Dockerfile
        build_ok .
        expect_output count=1
    done
    [ ! -e "${COB_ROOT%/root}/x" ] && [ ! -e "${COB_ROOT%/root}/b" ]
}

@test "cache mount: from and source bring the first content; read-only" {
    dockerfile <<'END'
FROM busybox AS seed
RUN mkdir -p /seed/sub && echo seeded >/seed/sub/f
FROM busybox
RUN --mount=type=cache,id=s,target=/c,from=seed,source=/seed/sub cat /c/f
RUN --mount=type=cache,id=s,target=/c,from=seed,source=/seed/sub,ro ! touch /c/g
END
    build_ok .
    expect_line '#[0-9]+ [0-9.]+ seeded'
}

# In the background: a build that has the mount for two seconds. Returns when it has it.
holder() { # sharing folder
    mkdir -p "$2"
    printf 'FROM busybox\nRUN --mount=type=cache,id=l,target=/c,sharing=%s echo in-the-step; echo first >/c/who; sleep 2; echo second >/c/who\n' "$1" >"$2/Dockerfile"
    "$COB" build --progress=plain "$2" >"$2/log" 2>&1 3>&- &
    wait_for 20 grep -q '[0-9] in-the-step' "$2/log"
}

@test "cache mount locked: a second process waits, says for what, and then has it all" {
    holder locked "$T/first"
    printf 'FROM busybox\nRUN --mount=type=cache,id=l,target=/c,sharing=locked cat /c/who\n' >Dockerfile
    build_ok .
    wait
    expect_line '#[0-9]+ [0-9.]+ second'
    expect_output 'waiting for cache mount'
}

@test "cache mount shared: a second process is in at once, in the same folder" {
    holder shared "$T/first"
    printf 'FROM busybox\nRUN --mount=type=cache,id=l,target=/c cat /c/who\n' >Dockerfile
    build_ok .
    wait
    expect_line '#[0-9]+ [0-9.]+ first'
}

@test "cache mount private: a second process has another folder at once, and the first is not lost" {
    holder private "$T/first"
    # shellcheck disable=SC2016
    printf 'FROM busybox\nRUN --mount=type=cache,id=l,target=/c,sharing=private echo "mine: $(cat /c/who 2>/dev/null)"\n' >Dockerfile
    build_ok .
    expect_line '#[0-9]+ [0-9.]+ mine: *'
    wait
    build_ok --no-cache .
    expect_line '#[0-9]+ [0-9.]+ mine: second'
}

@test "cache mount: a shared user waits for a locked holder, and never sees an empty folder" {
    holder locked "$T/first"
    printf 'FROM busybox\nRUN --mount=type=cache,id=l,target=/c,sharing=shared cat /c/who\n' >Dockerfile
    build_ok .
    wait
    expect_line '#[0-9]+ [0-9.]+ second'
}

@test "cache mount: a waiting build can be cancelled" {
    holder locked "$T/first"
    printf 'FROM busybox\nRUN --mount=type=cache,id=l,target=/c,sharing=locked cat /c/who\n' >Dockerfile
    "$COB" build --progress=plain . >"$T/second.log" 2>&1 3>&- &
    local pid=$! code=0
    wait_for 10 grep -q 'waiting for cache mount' "$T/second.log"
    kill -INT "$pid"
    wait "$pid" || code=$?
    expect_equal "$code" 130 'exit code'
    wait
}

@test "two locked mounts in two orders do not block each other for ever" {
    mkdir "$T/one" "$T/two"
    printf 'FROM busybox\nRUN --mount=type=cache,id=a,target=/1,sharing=locked --mount=type=cache,id=b,target=/2,sharing=locked sleep 0.5\n' >"$T/one/Dockerfile"
    printf 'FROM busybox\nRUN --mount=type=cache,id=b,target=/1,sharing=locked --mount=type=cache,id=a,target=/2,sharing=locked sleep 0.5; true\n' >"$T/two/Dockerfile"
    timeout 30 "$COB" build --progress=plain "$T/one" >"$T/one/log" 2>&1 3>&- &
    local pid=$!
    run timeout 30 "$COB" build --progress=plain "$T/two"
    expect_status 0
    wait "$pid"
}

@test "equal steps of two processes run once: the second waits and has the result" {
    printf 'FROM busybox\nRUN echo marker-of-the-step; sleep 1.5; cat /proc/sys/kernel/random/uuid >/uuid\n' >Dockerfile
    "$COB" build --progress=plain -t first . >"$T/first.log" 2>&1 3>&- &
    local pid=$! uuid
    wait_for 20 grep -q '[0-9] marker-of-the-step' "$T/first.log"
    build_ok -t second .
    wait "$pid"
    ! grep -qE '^#[0-9]+ [0-9.]+ marker-of-the-step' <<<"$output" || fail 'it ran twice:' "$output"
    in_image first 'cat /uuid'
    uuid=$output
    in_image second 'cat /uuid'
    expect_exact "$uuid"
}

@test "bind mount: from the context, read-only, and writes of rw are not kept" {
    mkdir d && echo in >d/f
    dockerfile <<'END'
FROM busybox
RUN --mount=type=bind,target=/ctx cat /ctx/d/f && ! touch /ctx/d/g
RUN --mount=type=bind,source=d,target=/d,rw echo new >/d/g && cat /d/g
RUN --mount=source=d/f,target=/one-file cat /one-file
RUN --mount=type=bind,from=busybox,source=/etc,target=/other ls /other/passwd
RUN [ ! -e /ctx/d ] && [ ! -e /d/g ]
END
    build_ok .
    [ ! -e d/g ]
    echo changed >d/f
    build_ok .
    expect_line '#[0-9]+ [0-9.]+ changed'
}

@test "bind mount: a source that leads out or is not there is an error" {
    mkdir d && ln -s / d/root && ln -s ../../../.. up
    local source
    for source in missing d/root/etc/shadow ../outside; do
        printf 'FROM busybox\nRUN --mount=type=bind,source=%s,target=/m cat /m/etc/shadow /m\n' "$source" >Dockerfile
        build_fails .
        refuse_output root:
    done
}

@test "tmpfs mount: is empty, has its size, and leaves nothing" {
    dockerfile <<'END'
FROM busybox
RUN --mount=type=tmpfs,target=/t,size=1m df -k /t | tail -1 | awk '{print "size=" $2}'; echo x >/t/f
RUN [ ! -e /t/f ]
END
    build_ok .
    expect_output size=1024
}

@test "mount points that had to be made are taken away, also from a step that bends them" {
    mkdir "$T/canary" && : >"$T/canary/empty"
    dockerfile <<END
FROM busybox
RUN --mount=type=tmpfs,target=/a/b/c --mount=type=cache,target=/x/y touch /a/b/c/f
RUN [ ! -e /a/b/c ] && [ ! -e /x/y ]
RUN --mount=type=tmpfs,target=/p/q/r mv /p /moved 2>/dev/null; ln -s $T/canary /p 2>/dev/null; true
END
    build_ok .
    [ -e "$T/canary/empty" ]
}

@test "targets that would hide the sandbox are refused" {
    local target
    for target in /proc /sys /dev /proc/sys; do
        printf 'FROM busybox\nRUN --mount=type=tmpfs,target=%s true\n' "$target" >Dockerfile
        build_fails .
        expect_output "$target"
    done
}

@test "secret: is there for its step alone, as file and as variable" {
    echo -n s3cr3t-file >"$T/secret"
    dockerfile <<'END'
FROM busybox
RUN --mount=type=secret,id=f cat /run/secrets/f | tr 's3' 'S#'; stat -c ' mode=%a' /run/secrets/f
RUN --mount=type=secret,id=f,target=/other,mode=0444,uid=5 stat -c 'mode=%a uid=%u' /other
RUN --mount=type=secret,id=e,env=TOKEN echo "${#TOKEN} bytes"
RUN [ ! -e /run/secrets/f ] && [ ! -e /other ] && [ -z "$TOKEN" ]
RUN --mount=type=secret,id=none,required=false [ ! -e /run/secrets/none ]
END
    run env TOKEN=12345678 "$COB" build --progress=plain --secret "id=f,src=$T/secret" --secret id=e,env=TOKEN .
    expect_status 0
    expect_output 'S#cr#t-file' mode=400 'mode=444 uid=5' '8 bytes'
}

@test "secret: a required one that is not given is an error that says how" {
    printf 'FROM busybox\nRUN --mount=type=secret,id=tok,required true\n' >Dockerfile
    build_fails .
    expect_output 'secret tok: not found' 'add --secret id=tok'
}

@test "secret: its value is nowhere on disk, after success and after failure, and no part of the key" {
    local secret=mArKeR-9f2c71d4e8 end found
    echo "$secret" >"$HOME/s"
    for end in false true; do
        # shellcheck disable=SC2016
        printf 'FROM busybox\nRUN --mount=type=secret,id=s --mount=type=cache,target=/c --mount=type=secret,id=s,env=V test -s /run/secrets/s && test -n "$V" && %s\n' "$end" >Dockerfile
        build -t "sec-$end" --secret "id=s,src=$HOME/s" .
        expect_status "$([ $end = true ] && echo 0 || echo 1)"
        refuse_output "$secret"
        found=$(grep_store "$secret")
        expect_equal "$found" '' "files with the secret after $end"
    done
    echo another >"$HOME/s"
    build_ok --secret "id=s,src=$HOME/s" .
    expect_equal "$(n_cached)" 1 'from the cache with another value'
}
