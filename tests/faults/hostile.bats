#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Archives, layers and registries that mean harm: nothing outside the store changes, nothing hangs.

load ../lib/cob
setup() {
    cob_setup
    need_program python3
    hostile=$project/tests/lib/hostile.py
    liar=$project/tests/lib/liar.py
    canary=$T/canary
    mkdir "$canary" && echo untouched >"$canary/f" && chmod 750 "$canary" && chmod 640 "$canary/f"
    before=$(canary_state)
}
teardown() {
    [ -z "${liar_pid:-}" ] || kill "$liar_pid" || :
    cob_teardown
}

canary_state() {
    (cd "$canary" && find . -printf '%p %y %m %U:%G %s %T@ %l\n' | sort && cat f)
}

# judge KIND NAME: the last build's tree in $T/o.tar or its error is as the table says, and the canary
# is as it was.
judge() {
    local wanted got
    wanted=$(cat "$T/$2.$1")
    if [[ $wanted == !* ]]; then
        got=
        [ "$status" -eq 1 ] && [[ $output == *"${wanted#!}"* ]] || got="exit code $status: $output"
        [ ! -e "$T/o.tar" ] || got+=" and there is an output"
    elif [ "$status" -eq 0 ]; then
        got=$("$hostile" tree "$T/o.tar" "$canary")
        [ "$got" != "$wanted" ] || got=
    else
        got="exit code $status: $output"
    fi
    [ "$(canary_state)" = "$before" ] || got+=" and the canary is changed"
    rm -f "$T/o.tar"
    [ -z "$got" ] || printf '%s as %s: wanted: %s; got: %s\n' "$2" "$1" "$wanted" "$got" >&2
    [ -z "$got" ]
}

@test "hostile archives by ADD: the tree that is due, or an error; nothing outside changes" {
    local name failed=0
    "$hostile" archives "$T" "$canary"
    printf 'FROM scratch\nADD x.tar /\n' >Dockerfile
    for name in $("$hostile" names); do
        cp "$T/$name.tar" x.tar
        run timeout 30 "$COB" build --progress=plain -o "type=tar,dest=$T/o.tar" .
        judge add "$name" || failed=1
        [ "$status" -eq 0 ] || [[ $output == *'>>> ADD x.tar /'*x.tar:* ]] || fail "no place: $output"
    done
    [ "$failed" -eq 0 ]
}

@test "hostile archives as build contexts: what ADD makes of them, or its error; nothing outside changes" {
    local name failed=0
    "$hostile" archives "$T" "$canary"
    echo 'h@ l@' >"$T/mode-through-hard-link.add" # a copy of a symlink is one of its own
    printf 'FROM scratch\nCOPY . /\n' >"$T/Dockerfile"
    for name in $("$hostile" names); do
        run timeout 30 "$COB" build --progress=plain -f "$T/Dockerfile" -o "type=tar,dest=$T/o.tar" - <"$T/$name.tar"
        judge add "$name" || failed=1
    done
    [ "$failed" -eq 0 ]
}

@test "hostile archives as build contexts by URL: likewise, and none is kept" {
    local name failed=0
    need_program python3
    "$hostile" archives "$T" "$canary"
    echo 'h@ l@' >"$T/mode-through-hard-link.add" # a copy of a symlink is one of its own
    printf 'FROM scratch\nCOPY . /\n' >"$T/Dockerfile"
    python3 "$project/tests/lib/remote_server.py" "$T" "$T/requests" >"$T/port" 2>/dev/null 3>&- &
    liar_pid=$!
    wait_for 10 test -s "$T/port"
    for name in $("$hostile" names); do
        run timeout 30 "$COB" build --progress=plain -f "$T/Dockerfile" -o "type=tar,dest=$T/o.tar" \
            "http://127.0.0.1:$(cat "$T/port")/plain/$name.tar"
        judge add "$name" || failed=1
    done
    [ "$failed" -eq 0 ]
}

@test "hostile archives by ADD over a folder: nothing outside changes" {
    local name
    "$hostile" archives "$T" "$canary"
    printf 'FROM scratch\nADD x.tar /\nADD x.tar /sub/\n' >Dockerfile
    for name in $("$hostile" names); do
        cp "$T/$name.tar" x.tar
        run timeout 30 "$COB" build --progress=plain -o "type=local,dest=$T/o" .
        [ "$status" -le 1 ] || fail "$name: exit code $status" "$output"
        expect_equal "$(canary_state)" "$before" "the canary after $name"
        as_store_owner rm -rf "$T/o"
    done
}

@test "hostile archives as layers: the tree that is due, or an error and no image" {
    local name failed=0
    "$hostile" archives "$T" "$canary"
    liar
    for name in $("$hostile" names); do
        printf 'FROM localhost:%s/archive/%s:v1\n' "$port" "$name" >Dockerfile
        run timeout 30 "$COB" build --progress=plain -o "type=tar,dest=$T/o.tar" .
        judge layer "$name" || failed=1
        if [ "$status" -ne 0 ]; then
            run timeout 30 "$COB" pull --progress=plain "localhost:$port/archive/$name:v1"
            judge layer "$name" || failed=1
            [[ $output == *"localhost:$port/archive/$name:v1"* ]] || fail "no name: $output"
            run "$COB" images
            [[ $output != *"$name"* ]] || fail "it is an image: $output"
        fi
    done
    [ "$failed" -eq 0 ]
}

@test "archives: links with absolute and .. targets are kept, within the root" {
    mkdir in && ln -s /etc/passwd in/abs && ln -s ../../../x in/rel && echo y >in/f && ln -s in linked
    tar -cf x.tar in linked
    printf 'FROM scratch\nADD x.tar /\n' >Dockerfile
    run "$COB" build -o "type=tar,dest=$T/o.tar" .
    expect_status 0
    run tar -tvf "$T/o.tar"
    expect_output 'in/abs -> /etc/passwd' 'in/rel -> ../../../x'
}

@test "archives: names of whiteouts are told of at ADD, kept for later steps, and never in an image" {
    mkdir in && echo x >in/.wh.f && tar -C in -cf x.tar .wh.f
    printf 'FROM scratch AS a\nADD x.tar /d/\nFROM scratch\nCOPY --from=a /d/.wh.f /f\n' >Dockerfile
    build_ok -t fine -o "type=tar,dest=$T/o.tar" .
    expect_output '.wh.f: no image can have a name that begins with .wh.'
    expect_equal "$(tar -xOf "$T/o.tar" f)" x
    build_fails --target a -t bad .
    expect_output 'd/.wh.f: a name that begins with .wh. means a removed file in a layer; rename it'
    run "$COB" images
    refuse_output bad
}

@test "archives: truncated and damaged ones are errors that name the file" {
    mkdir in && head -c 300000 /dev/urandom >in/f
    tar -cf good.tar in && gzip -k good.tar
    head -c 100000 good.tar >cut.tar && head -c 100000 good.tar.gz >cut.tar.gz
    { head -c 50000 good.tar.gz && head -c 1000 /dev/zero && tail -c +51001 good.tar.gz; } >bad.tar.gz
    local name
    for name in cut.tar cut.tar.gz bad.tar.gz; do
        printf 'FROM scratch\nADD %s /\n' "$name" >Dockerfile
        build_fails .
        expect_output ">>> ADD $name /" "$name"
    done
}

@test "archives: a bomb ends at a limit or a full disk, not in memory" {
    need_root
    mkdir "$T/small" && mount -t tmpfs -o size=32m none "$T/small"
    head -c 400000000 /dev/zero >"$T/zeros"
    tar -C "$T" -cf - zeros | gzip -1 >bomb.tar.gz && rm "$T/zeros"
    printf 'FROM scratch\nADD bomb.tar.gz /\n' >Dockerfile
    COB_ROOT=$T/small/root run timeout 60 "$COB" build --progress=plain .
    local left
    left=$(df --output=avail -m "$T/small" | tail -1)
    umount "$T/small"
    expect_status 1
    expect_output 'No space left on device' bomb.tar.gz
    [ "$left" -ge 25 ] || fail "only $left MB of 32 are free after the failure"
}

# 4 GiB of zeros in each compression, at the ratio that it has; the disk has 96 MiB, of which 32 are
# never taken.
@test "archives: bombs of every compression leave a reserve on the disk" {
    need_root
    need_program python3 xz bzip2 zstd
    mkdir "$T/small" && mount -t tmpfs -o size=96m none "$T/small"
    local kind failed=0 left
    for kind in gzip zstd xz bzip2; do
        "$hostile" bomb "$kind" "bomb.$kind"
        printf 'FROM scratch\nADD bomb.%s /\n' "$kind" >Dockerfile
        COB_ROOT=$T/small/root run timeout 60 "$COB" build --progress=plain .
        left=$(df --output=avail -m "$T/small" | tail -1)
        if [ "$status" -ne 1 ] || [ "$left" -lt 85 ] ||
            [[ $output != *"bomb.$kind: "*'less than 32 MiB of the disk would be left: No space left on device'* ]]; then
            printf '%s: exit code %s, %s MB left: %s\n' "$kind" "$status" "$left" "$output" >&2
            failed=1
        fi
    done
    umount "$T/small"
    [ "$failed" -eq 0 ]
}

# A registry in the background, each repository of it another lie; see liar.py.
liar() {
    rm -f "$T/port"
    python3 "$liar" serve "$T/port" "$canary" >/dev/null 2>"$T/liar.log" 3>&- &
    liar_pid=$!
    wait_for 10 test -s "$T/port"
    port=$(cat "$T/port")
    : >"$T/port.log"
}

pull() { # repository[:tag] [argument...]
    local name=$1
    shift
    run timeout 60 "$COB" pull --progress=plain "$@" "localhost:$port/$name"
}

# What a store keeps; locks and the database's own files aside.
store_state() {
    as_store_owner find "$COB_ROOT"/{blobs,snapshots,tmp} -mindepth 1 -printf '%P %y %s\n' | sort
    "$COB" images -q
}

# check_lie NAME ERROR: a pull that must fail, say so, and change nothing.
check_lie() {
    [ "$status" -eq 1 ] && [[ $output == *"ERROR: localhost:$port/$1"* ]] && [[ $output == *"$2"* ]] ||
        fail "$1: exit code $status, wanted 1 and: $2" "$output" || return 1
    expect_equal "$(store_state)" "$kept" "the store after $1"
}

@test "registry: what is in order is pulled, whoever says what it is" {
    local name
    liar
    for name in fine big no-parameters-count typed-by-itself typed-by-server foreign-but-here; do
        pull "$name:v1"
        expect_status 0
    done
    run "$COB" images
    expect_output "localhost:$port/fine" "localhost:$port/foreign-but-here"
    run grep foreign$ "$T/port.log"
    expect_exact ''
}

@test "registry: every lie is an error that names the image, and changes nothing" {
    local name error failed=0 n=0
    liar
    pull fine:v1
    expect_status 0
    kept=$(store_state)
    while IFS=$'\t' read -r name error; do
        pull "$name:v1"
        check_lie "$name" "$error" || failed=1
        n=$((n + 1))
    done < <("$liar" lies)
    [ "$failed" -eq 0 ]
    [ "$n" -ge 100 ] || fail "only $n lies"
    [ ! -e /tmp/cob-evil ]
    run grep foreign$ "$T/port.log"
    expect_exact ''
    pull fine:v1
    expect_status 0
}

@test "registry: what is no digest is never asked for" {
    local bad n=0
    liar
    while IFS= read -r bad; do
        pull "fine@$bad"
        [ "$status" -eq 1 ] && [[ $output == *"invalid reference format"* ]] || fail "$bad:" "$output" || return 1
        n=$((n + 1))
    done < <("$liar" digests)
    [ "$n" -ge 30 ] || fail "only $n digests"
    for bad in $'fine\r\nX-Evil: 1:v1' $'fine:v1\r\nHost: x' 'fine:v1 HTTP/1.1' 'fi%0d%0ane:v1' '../fine:v1' 'fine/../x:v1' \
        'fine:v1?x=1' 'fine:v1#x' 'Fine:v1'; do
        pull "$bad"
        [ "$status" -eq 1 ] && [[ $output == *"invalid reference format"* ]] || fail "$bad:" "$output" || return 1
    done
    expect_file "$T/port.log" ''
}

@test "registry: tag@digest is what the digest says, of that repository alone" {
    local digest other
    liar
    digest=sha256:$(curl -s "http://localhost:$port/v2/fine/manifests/v1" | sha256sum | cut -d' ' -f1)
    other=sha256:$(curl -s "http://localhost:$port/v2/big/manifests/v1" | sha256sum | cut -d' ' -f1)
    : >"$T/port.log"
    pull "fine:v1@$digest"
    expect_status 0
    kept=$(store_state)
    pull "fine:v1@$other"
    check_lie "fine:v1@$other" "the registry sent a manifest with digest $digest"
    run grep -v "^GET /v2/fine/" "$T/port.log"
    expect_exact ''
    run grep -c "^GET /v2/fine/manifests/sha256:" "$T/port.log"
    expect_exact 2
}

@test "registry: of an index the image for the platform comes" {
    local platform
    liar
    for platform in linux/amd64 linux/arm64 linux/s390x linux/arm/v6 linux/arm/v7; do
        printf 'FROM --platform=%s localhost:%s/index:v1\n' "$platform" "$port" >Dockerfile
        build_ok --output "type=local,dest=$T/out" .
        expect_file "$T/out/platform" "$platform"
    done
    printf 'FROM --platform=linux/riscv64 localhost:%s/index:v1\n' "$port" >Dockerfile
    build_fails .
    expect_output "localhost:$port/index:v1" 'no image for linux/riscv64; there are linux/s390x, linux/amd64, linux/arm64, linux/arm/v6'
}

@test "registry: labels and annotations of an image never reach the runtime" {
    local real wrapper
    need_program busybox crun jq
    liar
    real=$(command -v crun)
    mkdir "$T/bin" && wrapper=$T/bin/crun
    # it keeps what the runtime was told
    cat >"$wrapper" <<EOF
#!/bin/bash
arguments=("\$@")
while [ \$# -gt 0 ]; do
    [ "\$1" != --bundle ] || cat "\$2/config.json" >>"$T/config.json"
    shift
done
exec $real "\${arguments[@]}"
EOF
    chmod +x "$wrapper" && touch "$T/config.json"
    PATH=$T/bin:$PATH run "$COB" run --rm "localhost:$port/labels:v1"
    expect_status 0
    expect_output ran
    printf 'FROM localhost:%s/labels:v1\nRUN /bin/sh -c "echo built"\n' "$port" >Dockerfile
    PATH=$T/bin:$PATH build_ok .
    expect_equal "$(jq -s length "$T/config.json")" 2 'bundles seen'
    expect_equal "$(jq -r '.annotations | keys[]' "$T/config.json" | sort -u)" run.oci.seccomp_bpf_data annotations
    expect_equal "$(jq -r .hooks "$T/config.json" | sort -u)" null hooks
    expect_equal "$(canary_state)" "$before" 'the canary'
    run "$COB" images
    expect_output "localhost:$port/labels"
}

@test "registry: what the server says is no terminal's command, and no line of ours" {
    liar
    pull escapes:v1
    expect_status 1
    expect_output 'server message: DENIED: a\x1b[2J\x1b]0;t\x07\x1b]52;' '\x1b\\x0d\x0a#9 DONE 0.1s\x0a#1 \xc2\x9b31m\xe2\x80\xae\x7f\x08'
    ! grep -q '^#9' <<<"$output" || fail "a forged line:" "$output"
    ! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f-\xff]' <<<"$output" || fail "control bytes:" "$(cat -v <<<"$output")"
}

@test "registry: an answer without end is cut off at its size" {
    local name error
    liar
    pull fine:v1
    kept=$(store_state)
    while IFS=: read -r name error; do
        pull "$name:v1"
        check_lie "$name" "$error"
    done <<'EOF'
layer-endless:: the registry sends more than the
manifest-endless:: the answer is longer than the limit of 4194304 bytes
header-endless:: the headers of the answer are longer than 65536 bytes
interim-endless:: the headers of the answer are longer than 65536 bytes
always-429:: 429 Too Many Requests
EOF
    run cut -d' ' -f2 "$T/port.log"
    expect_equal "$(grep -c endless/blobs <<<"$output")" 2 'blobs asked for'
    expect_equal "$(grep -c 'manifests/v1$' <<<"$output")" 6 'manifests asked for'
}

@test "registry: what fails for a while is tried again, and a layer goes on where it broke" {
    liar
    pull busy:v1
    expect_status 0
    expect_equal "$(grep -c '/v2/busy/manifests/' "$T/port.log")" 3 'manifests asked for'
    pull cut:v1
    expect_status 0
    expect_equal "$(grep -c '/v2/cut/blobs/.* bytes=[1-9][0-9]*-$' "$T/port.log")" 2 'pieces asked for'
}

# Side by side, for each waits in vain for ten seconds or more.
@test "registry: what fails for good is tried six times, then an error" {
    local name pids=() code
    liar
    pull fine:v1
    kept=$(store_state)
    for name in always-500 manifest-truncated layer-truncated; do
        { code=0 && timeout 60 "$COB" pull --progress=plain "localhost:$port/$name:v1" || code=$?; echo "exit $code"; } \
            >"$T/$name" 2>&1 3>&- &
        pids+=($!)
    done
    wait "${pids[@]}"
    for name in 'always-500:status 500' 'manifest-truncated:transfer closed with' 'layer-truncated:transfer closed with'; do
        output=$(cat "$T/${name%%:*}") && status=${output##*exit }
        check_lie "${name%%:*}" "${name#*:}"
    done
    expect_equal "$(grep -c '/v2/always-500/manifests/' "$T/port.log")" 6 'tries of always-500'
    expect_equal "$(grep -c '/v2/manifest-truncated/manifests/' "$T/port.log")" 6 'tries of manifest-truncated'
    # beside the config's
    expect_equal "$(grep -c '/v2/layer-truncated/blobs/' "$T/port.log")" 7 'tries of layer-truncated'
}

@test "registry: Ctrl-C ends the wait for another try" {
    local pid code=0
    liar
    "$COB" pull --progress=plain "localhost:$port/layer-truncated:v1" >"$T/log" 2>&1 3>&- &
    pid=$!
    wait_for 10 grep -q 'layer-truncated/blobs.*bytes=' "$T/port.log"
    kill -INT "$pid"
    wait "$pid" || code=$?
    expect_equal "$code" 130 'exit code'
    run "$COB" images -q
    expect_exact ''
}

@test "registry: a server that fails or refuses is named; no other host is asked" {
    run timeout 90 "$COB" build --progress=plain - <<<'FROM localhost:1/x:v1'
    expect_status 1
    expect_output localhost:1 '>>> FROM localhost:1/x:v1'
}
