#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cob cache: cache mounts seen, looked into, copied, removed, pinned, held to a quota.

load ../lib/cob
setup() { cob_setup && busybox_image; }
teardown() { cob_teardown; }

# fill ID COMMAND [OPTION...]: a step that runs COMMAND with the mount on /c.
fill() {
    local id=$1 command=$2
    shift 2
    printf 'FROM busybox\nRUN --mount=type=cache,"id=%s",target=/c %s\n' "$id" "$command" >Dockerfile
    build_ok --no-cache "$@" .
}

# field ID NAME: a value of cob cache inspect.
field() {
    "$COB" cache inspect --format "{{.$2}}" "$1"
}

# hold ID: in the background, a build that has the mount until $T/go is there.
hold() {
    mkdir -p "$T/holder" "$T/flag"
    printf 'FROM busybox\nRUN --mount=type=cache,id=%s,target=/c,sharing=locked --mount=type=cache,id=flag,target=/flag echo in-the-step; while [ ! -e /flag/go ]; do sleep 0.1; done\n' "$1" >"$T/holder/Dockerfile"
    "$COB" build --progress=plain -t holder --no-cache "$T/holder" >"$T/holder/log" 2>&1 3>&- &
    holder_pid=$!
    wait_for 20 grep -q '[0-9] in-the-step' "$T/holder/log"
}

let_go() {
    : >"$T/go"
    "$COB" cache cp "$T/go" flag:/
    wait "$holder_pid"
}

@test "cache: help of the group, and of its commands" {
    local words
    for words in cache 'cache --help' 'help cache'; do
        # shellcheck disable=SC2086
        run "$COB" $words
        expect_status 0
        expect_output 'Usage:  cob cache COMMAND' '  inspect   Display' '  unpin '
    done
    run "$COB" --help
    expect_line '  cache +Manage cache mounts'
    refuse_output 'cache ls'
    run "$COB" cache rm --help
    expect_output 'Usage:  cob cache rm [OPTIONS] ID [ID...]' --force --namespace
    run "$COB" cache remove x
    expect_status 1
    expect_output 'unknown command: cache remove' "See 'cob cache --help'"
}

@test "cache ls: nothing, and then each mount with size, files, step and uses" {
    run "$COB" cache ls
    expect_status 0
    expect_line 'ID +SIZE +FILES +LAST USED +LAST STEP +USES +PINNED +IN USE BY *'
    expect_equal "${#lines[@]}" 1
    fill /go 'dd if=/dev/zero of=/c/big bs=1k count=2000 2>/dev/null; mkdir -p /c/d; touch /c/d/f'
    fill /go 'true'
    run "$COB" cache ls
    expect_line '/go +2\.[0-9]+MB +2 +.* ago +RUN true +2 +false *'
    run "$COB" cache ls -q
    expect_exact /go
}

@test "cache ls: what it says is what the file system has" {
    fill a 'dd if=/dev/zero of=/c/big bs=1k count=700 2>/dev/null; for i in 1 2 3; do echo $i >/c/$i; done'
    local said there
    said=$("$COB" cache inspect --format '{{.Size}}' a)
    there=$(as_store_owner du -s --block-size=1 "$COB_ROOT"/mounts/*-0/fs | cut -f1)
    expect_equal "$said" "$there" bytes
    expect_equal "$(field a Files)" 4
}

@test "cache ls: json, templates, tables of one's own, filters" {
    fill a 'echo x >/c/f'
    fill b 'echo x >/c/f' --build-arg BUILDKIT_CACHE_MOUNT_NS=ci
    "$COB" cache pin a
    run bash -c '"$COB" cache ls --format json | jq -r "[.ID, .Namespace, .Files, .Pinned, .Quota] | join(\" \")"'
    expect_exact $'a  1 true none\nb ci 1 false none'
    run "$COB" cache ls --format '{{.ID}}={{ .Uses }} {{json .LastStep}}'
    expect_line 'a=1 "\[2/2\] RUN .*"'
    run "$COB" cache ls --format 'table {{.ID}}\t{{.Namespace}}'
    expect_exact $'ID        NAMESPACE\na         \nb         ci'
    run "$COB" cache ls --format '{{.Nope}}'
    expect_status 1
    expect_output 'no field .Nope; there are CreatedAt'
    run "$COB" cache ls -q --filter pinned=true
    expect_exact a
    run "$COB" cache ls -q --filter 'namespace=c*' --filter inuse=false
    expect_exact ci/b
    run "$COB" cache ls -q --filter id=a --filter namespace=ci
    expect_exact ''
    run "$COB" cache ls --filter size=1
    expect_status 1
    expect_output '--filter size=1: there are id, namespace, pinned and inuse'
    run "$COB" cache ls
    expect_line 'ID +NAMESPACE +SIZE .*'
}

@test "cache: a long step is cut in the table, and whole with --no-trunc" {
    fill a "echo $(printf 'x%.0s' {1..100})"
    run "$COB" cache ls
    expect_output 'RUN echo xxx' …
    run "$COB" cache ls --no-trunc
    refuse_output …
    expect_output 'type=cache' "$(printf 'x%.0s' {1..100})"
}

@test "cache inspect: sizes, biggest directories, steps and projects, who has it" {
    fill go 'mkdir -p /c/big/sub /c/small; dd if=/dev/zero of=/c/big/sub/f bs=1k count=900 2>/dev/null; echo x >/c/small/f'
    mkdir "$T/other" && cd "$T/other"
    fill go 'echo other-project' -t other:1
    cd "$T/ctx"
    hold go
    run bash -c '"$COB" cache inspect go | jq -r ".[0] | [.ID, .Files, .Uses, (.BiggestDirectories | map(.Path) | join(\",\")), (.UsedBy | length), (.InUseBy | length), .Forks] | map(tostring) | join(\" \")"'
    expect_exact 'go 2 3 big,big/sub,small 3 1 0'
    run "$COB" cache inspect --format '{{json .UsedBy}}' go
    expect_output "\"Project\":\"$T/other (other:1)\"" 'RUN --mount=type=cache,id=go,target=/c,sharing=locked' \
        '"FirstUsed":"20' '"Uses":1'
    run "$COB" cache inspect --format '{{json .InUseBy}}' go
    expect_output '"User":"build holder (pid ' "\"Pid\":$holder_pid"
    run "$COB" cache ls --no-trunc
    expect_line 'go .*build holder \(pid [0-9]+\) \(\[2/2\] RUN .*'
    let_go
    run "$COB" cache inspect --format '{{json .InUseBy}}' go
    expect_exact '[]'
    run "$COB" cache inspect go none
    expect_status 1
    expect_output '"ID": "go"' 'no such cache mount: none'
}

@test "cache inspect: how often a step used it is counted, and the list is bounded" {
    local n
    fill a 'true'
    fill a 'true'
    run "$COB" cache inspect --format '{{json .UsedBy}}' a
    expect_output '"Uses":2'
    for n in $(seq 70); do
        printf 'RUN --mount=type=cache,id=a,target=/c : %s\n' "$n"
    done | (echo 'FROM busybox' && cat) >Dockerfile
    build_ok .
    expect_equal "$("$COB" cache inspect a | jq '.[0].UsedBy | length')" 64
    expect_equal "$(field a Uses)" 72
}

@test "cache cp: out, by the rules of docker cp" {
    fill a 'mkdir -p /c/d/e; echo one >/c/d/e/f; chmod 640 /c/d/e/f; touch -d "2001-02-03 04:05:06" /c/d/e/f; ln -s e /c/d/l; echo two >/c/two'
    "$COB" cache cp a:two one
    expect_file one two
    mkdir dir
    "$COB" cache cp a:/d/e/f dir
    expect_file dir/f one
    expect_equal "$(TZ=UTC stat -c '%a %y' dir/f)" '640 2001-02-03 04:05:06.000000000 +0000'
    expect_equal "$(stat -c %u dir/f)" "$(id -u)" owner
    "$COB" cache cp a:d new
    expect_file new/e/f one
    expect_equal "$(readlink new/l)" e
    "$COB" cache cp a:d dir
    expect_file dir/d/e/f one
    "$COB" cache cp a:d/. dir
    expect_file dir/e/f one
    "$COB" cache cp a:d/l link
    expect_equal "$(readlink link)" e
    "$COB" cache cp -L a:d/l followed
    expect_file followed/f one
    run "$COB" cache cp a:d one
    expect_status 1
    expect_output 'cannot copy a directory to a file'
    run "$COB" cache cp a:two missing/
    expect_status 1
    expect_output 'missing'
    run "$COB" cache cp a:none x
    expect_status 1
    expect_output 'cache mount a: none: open: No such file or directory'
    [ ! -e x ]
}

@test "cache cp: in, and what is there is seen by the next build" {
    fill a 'true'
    mkdir -p src/sub && echo in >src/sub/f && chmod 600 src/sub/f
    "$COB" cache cp src a:/
    "$COB" cache cp src/sub/f a:src/g
    "$COB" cache cp src/. a:
    fill a 'cat /c/src/sub/f /c/src/g /c/sub/f; stat -c "%u %a" /c/src/g'
    expect_line '#[0-9]+ [0-9.]+ 0 600'
    expect_equal "$(grep -cE '^#[0-9]+ [0-9.]+ in$' <<<"$output")" 3
    expect_equal "$(field a Files)" 3
    run "$COB" cache cp src a:none/deeper/x
    expect_status 1
    expect_output 'the directory none/deeper'
    run "$COB" cache cp src/sub/f nothing
    expect_status 1
    expect_output 'write ID:PATH'
}

@test "cache cp: tar on standard output and from standard input" {
    fill a 'mkdir /c/d; echo x >/c/d/f; echo y >/c/y'
    run bash -c '"$COB" cache cp a:d - | tar -t'
    expect_exact $'d/\nd/f'
    run bash -c '"$COB" cache cp a:y - | tar -xO y'
    expect_exact y
    mkdir t && echo in >t/new
    tar -c t | "$COB" cache cp - a:/d
    "$COB" cache cp a:d/t/new got
    expect_file got in
    run bash -c 'tar -c t | "$COB" cache cp - a:/y'
    expect_status 1
    run bash -c 'echo no archive | "$COB" cache cp - a:/'
    expect_status 1
}

@test "cache cp: symlinks of a build lead nowhere else" {
    local canary=$T/canary
    mkdir "$canary" && echo secret >"$canary/f"
    fill a "ln -s / /c/root; ln -s ../../../../../../../.. /c/up; ln -s $canary /c/abs; ln -s $canary/f /c/file"
    local path
    for path in "root$canary/f" "up$canary/f" abs/f; do
        run "$COB" cache cp "a:$path" out
        expect_status 1
        [ ! -e out ]
    done
    run "$COB" cache cp -L a:file out
    expect_status 1
    echo evil >evil
    for path in abs/f "up$canary/f" "root$canary/new" "../../../../../../../../..$canary/new"; do
        run "$COB" cache cp evil "a:$path"
        expect_status 1
    done
    "$COB" cache cp evil a:file # the link is replaced
    expect_equal "$(cat "$canary"/*)" secret canary
    mkdir -p t/abs && echo evil >t/abs/f
    tar -C t -c abs/f | "$COB" cache cp - a:/ || true
    expect_equal "$(cat "$canary"/*)" secret canary
}

@test "cache rm: frees the disk, names who has it, and takes pinned ones only by force" {
    fill a 'dd if=/dev/zero of=/c/f bs=1k count=3000 2>/dev/null'
    fill b 'true'
    hold b
    run "$COB" cache rm a b none
    expect_status 1
    expect_line a
    expect_output 'ERROR: cache mount b: it is in use by build holder (pid '
    [ -z "$(as_store_owner find "$COB_ROOT/mounts" -size +2M)" ] || fail 'the file is there'
    let_go
    "$COB" cache pin b
    run "$COB" cache rm b
    expect_status 1
    expect_output 'it is pinned: unpin it first, or remove it with --force'
    run "$COB" cache rm -f none b
    expect_status 0
    expect_exact b
    run "$COB" cache rm none
    expect_status 1
    expect_output 'no such cache mount: none'
    run "$COB" cache ls -q
    expect_exact flag
    fill a 'test ! -e /c/f'
}

@test "cache pin, unpin: shown, and kept over builds" {
    fill a 'true'
    run "$COB" cache pin a
    expect_exact a
    fill a 'echo again'
    expect_equal "$(field a Pinned)" true
    "$COB" cache unpin a
    expect_equal "$(field a Pinned)" false
    run "$COB" cache pin none
    expect_status 1
}

@test "cache quota: what is used least goes after a build, with a warning; what is in use stays" {
    # shellcheck disable=SC2016
    fill a 'for i in 1 2 3 4; do dd if=/dev/zero of=/c/$i bs=1k count=500 2>/dev/null; touch -d "2020-01-0$i" /c/$i; done; mkdir -p /c/d/e; dd if=/dev/zero of=/c/d/e/f bs=1k count=500 2>/dev/null; touch -d 2019-01-01 /c/d/e/f'
    "$COB" cache quota a 1200k
    fill a 'true'
    expect_output 'cache mount "a" has 2.' 'above its quota of 1.229MB: its 3 least recently used files, 1.536MB, were removed'
    "$COB" cache cp a:. left
    expect_equal "$(find left -mindepth 1 | sort | tr '\n' ' ')" 'left/3 left/4 '
    fill a 'true'
    refuse_output quota
    "$COB" cache quota a 10k
    printf 'FROM busybox\nRUN --mount=type=cache,id=a,target=/c --mount=type=cache,id=flag,target=/flag echo in-the-step; while [ ! -e /flag/go ]; do sleep 0.1; done\n' >Dockerfile.slow
    "$COB" build --progress=plain -f Dockerfile.slow . >slow.log 2>&1 3>&- &
    local pid=$!
    wait_for 20 grep -q '[0-9] in-the-step' slow.log
    fill a 'echo beside'
    expect_output 'above its quota of 10.24kB: another build has it, so nothing was removed'
    : >"$T/go"
    "$COB" cache cp "$T/go" flag:/
    wait "$pid"
    grep -q 'least recently used files' slow.log || fail "$(cat slow.log)"
    "$COB" cache quota a none
    expect_equal "$(field a Quota)" null
    run "$COB" cache quota a many
    expect_status 1
    expect_output 'invalid size many: write 500m, 2g or none'
}

@test "cache: namespaces are apart, by NS/ID or --namespace" {
    fill a 'echo none >/c/f'
    fill a 'echo one >/c/f' --build-arg BUILDKIT_CACHE_MOUNT_NS=one
    fill b 'echo two >/c/f' --build-arg BUILDKIT_CACHE_MOUNT_NS=two
    local end
    "$COB" cache cp a:f x && expect_file x none
    "$COB" cache cp one/a:f x && expect_file x one
    "$COB" cache cp -n one a:f x && expect_file x one
    "$COB" cache cp b:f x && expect_file x two # there is but one
    run "$COB" cache rm -n two a
    expect_status 1
    "$COB" cache rm -n one a
    run "$COB" cache ls -q
    expect_exact $'a\ntwo/b'
    fill b 'echo three >/c/f' --build-arg BUILDKIT_CACHE_MOUNT_NS=three
    run "$COB" cache rm b
    expect_status 1
    expect_output '2 cache mounts fit b: say NAMESPACE/ID'
}

@test "cache: ids that are paths, long, or no text" {
    local id dir
    for id in ../x / /etc . a:b "$(head -c 4096 /dev/zero | tr '\0' a)"; do
        fill "$id" 'echo in >/c/f'
        dir=$(as_store_owner ls "$COB_ROOT/mounts")
        "$COB" cache cp "${dir:0:12}:f" got
        expect_file got in
        # what begins with ../ is a path of the user's, as for docker cp
        [[ $id == ../* ]] || "$COB" cache cp "$id:f" got
        "$COB" cache pin "$id"
        "$COB" cache quota "$id" 1g
        run "$COB" cache rm --force -- "$id"
        expect_status 0
    done
    [ -z "$("$COB" cache ls -q)" ]
    printf 'FROM busybox\nARG ID\nRUN --mount=type=cache,id=$ID,target=/c echo in >/c/f\n' >Dockerfile
    build_ok --build-arg ID=$'new\nline\033[2J' .
    run "$COB" cache ls
    expect_output 'new\x0aline\x1b[2J'
    dir=$("$COB" cache ls --format json | jq -r .ID) # as text
    expect_equal "$dir" 'new\x0aline\x1b[2J'
    dir=$(as_store_owner ls "$COB_ROOT/mounts")
    run "$COB" cache inspect --format '{{.Files}}' "${dir:0:12}"
    expect_exact 1
    run "$COB" cache rm "${dir:0:12}-0"
    expect_status 0
    [ -z "$("$COB" cache ls -q)" ]
}

@test "cache: an empty id is the target's" {
    printf 'FROM busybox\nRUN --mount=type=cache,id=,target=/c/../d/ echo x >/d/f\n' >Dockerfile
    build_ok .
    run "$COB" cache ls -q
    expect_exact /d
}

@test "cache: all of it works when the database is lost" {
    fill /go/pkg 'echo kept >/c/f'
    as_store_owner rm "$COB_ROOT"/cob.db*
    busybox_image
    run "$COB" cache ls
    expect_line '/go/pkg +[0-9.]+kB +1 .*'
    "$COB" cache cp /go/pkg:f got
    expect_file got kept
    "$COB" cache pin /go/pkg
    run "$COB" cache rm /go/pkg
    expect_status 1
    "$COB" cache unpin /go/pkg
    fill /go/pkg 'cat /c/f'
    expect_line '#[0-9]+ [0-9.]+ kept'
    run "$COB" cache rm /go/pkg
    expect_status 0
}

@test "cache rm: a process that is killed on the way leaves nothing that looks done, and nothing" {
    fill a 'echo x >/c/f'
    local dir
    dir=$(as_store_owner ls "$COB_ROOT/mounts")
    as_store_owner mv "$COB_ROOT/mounts/$dir" "$COB_ROOT/mounts/.gone-$dir-0123456789abcdef"
    run "$COB" cache ls -q
    expect_exact ''
    expect_equal "$(as_store_owner ls -A "$COB_ROOT/mounts")" ''
    fill a 'test ! -e /c/f'
    expect_equal "$(field a Uses)" 1
}

# in_bash WORD...: what bash would complete the last one to, in $output.
in_bash() {
    # shellcheck disable=SC2016
    run bash -c 'source ./cob.bash; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _cob; printf "%s\n" "${COMPREPLY[@]}"' - "$@"
}

@test "cache: shells complete commands and ids" {
    need_program fish zsh
    local shell
    fill /go/pkg 'true'
    fill 'a b' 'true'
    fill npm 'true' --build-arg BUILDKIT_CACHE_MOUNT_NS=ci
    mkdir bin && ln -s "$COB" bin/cob && PATH=$PWD/bin:$PATH
    for shell in bash fish; do cob completion "$shell" >"cob.$shell"; done
    cob completion zsh >_cob
    in_bash cob ca
    expect_exact cache
    in_bash cob cache ''
    expect_exact $'cp\nexport\nimport\ninspect\nls\npin\nquota\nrm\nunpin'
    in_bash cob cache rm ''
    expect_exact $'/go/pkg\na\\ b\nci/npm'
    in_bash cob cache inspect /g
    expect_exact /go/pkg
    in_bash cob cache export n
    refuse_output npm # it is of another namespace
    in_bash cob cache export c
    expect_exact ci/npm
    in_bash cob cache cp /g
    expect_exact /go/pkg:
    in_bash cob cache rm --fo
    expect_exact --force
    run fish --no-config -c 'source cob.fish; complete -C "cob cache in"; complete -C "cob cache pin "'
    expect_exact $'inspect\tDisplay detailed information on cache mounts\n/go/pkg\na b\nci/npm'
    # zsh completes at a prompt alone; here its functions tell what they were given.
    run zsh -f -c '_describe() { print -rl -- "${commands[@]}"; }; words=(cob cache "") CURRENT=3; source ./_cob'
    expect_line 'unpin:Let cache mounts be removed again'
    run zsh -f -c '_arguments() { print -rl -- "$@"; }; compadd() { print -rl -- "${found[@]}"; }
        words=(cob cache rm "") CURRENT=4; source ./_cob; _cob_words cachemounts'
    expect_line '\*:word:_cob_words cachemounts'
    expect_line 'a b'
    expect_line 'ci/npm'
}

@test "cache: a completion is silent and makes nothing where there is no store" {
    run env COB_ROOT="$T/nowhere" "$COB" debug complete cachemounts
    expect_status 0
    expect_exact ''
    [ ! -e "$T/nowhere" ]
}

@test "--no-cache-mounts: empties those of the build's steps, all or by id, and no others" {
    local id
    for id in a b other; do fill "$id" 'echo x >/c/f'; done
    dockerfile <<'END'
FROM busybox
RUN --mount=type=cache,id=a,target=/a --mount=type=cache,id=b,target=/b echo "now: $(cat /a/f /b/f 2>/dev/null | wc -l)"
END
    build_ok .
    expect_output 'now: 2'
    build_ok --no-cache .
    expect_output 'now: 2'
    build_ok --no-cache --no-cache-mounts=a .
    expect_output 'empty cache mount a' 'now: 1'
    fill a 'echo x >/c/f'
    dockerfile <<'END'
FROM busybox
RUN --mount=type=cache,id=a,target=/a --mount=type=cache,id=b,target=/b echo "now: $(cat /a/f /b/f 2>/dev/null | wc -l)"
END
    build_ok --no-cache --no-cache-mounts=a,b .
    expect_output 'now: 0'
    build_ok --no-cache-mounts .
    expect_equal "$(n_cached)" 1 'the step itself is cached'
    "$COB" cache cp other:f got
    expect_file got x
    build_fails --no-cache-mounts=a,none .
    expect_output '--no-cache-mounts=none: no RUN of this build has a cache mount of that id; there are "a", "b"'
    dockerfile <<<'FROM busybox'
    build_fails --no-cache-mounts=a .
    expect_output '--no-cache-mounts=a: no RUN of this build has a cache mount'
    build_ok --no-cache-mounts .
}

@test "--no-cache-mounts: waits for who has one, and takes him nothing" {
    fill a 'echo x >/c/f'
    hold a
    printf 'FROM busybox\nRUN --mount=type=cache,id=a,target=/c echo "now: $(ls /c)"\n' >Dockerfile
    "$COB" build --progress=plain --no-cache --no-cache-mounts . >"$T/log" 2>&1 3>&- &
    local pid=$!
    wait_for 20 grep -q 'waiting for cache mount "a", held by build holder (pid ' "$T/log"
    [ -n "$(as_store_owner find "$COB_ROOT/mounts" -name f)" ] || fail 'the file is gone'
    let_go
    wait "$pid"
    grep -qE '^#[0-9]+ [0-9.]+ now: $' "$T/log" || fail "$(cat "$T/log")"
}

@test "--no-cache-filter: the stages that are named run again, in lists and several times" {
    dockerfile <<'END'
FROM busybox AS one
RUN echo step-one
FROM busybox AS two
RUN echo step-two
FROM busybox AS three
RUN echo step-three
FROM busybox
COPY --from=one /bin/sh /1
COPY --from=two /bin/sh /2
COPY --from=three /bin/sh /3
END
    build_ok .
    build_ok .
    expect_equal "$(n_cached)" 6
    local filter
    for filter in '--no-cache-filter=one,Two' '--no-cache-filter=one --no-cache-filter=two' '--no-cache-filter one,none --no-cache-filter two'; do
        # shellcheck disable=SC2086
        build_ok $filter .
        expect_line '#[0-9]+ [0-9.]+ step-one'
        expect_line '#[0-9]+ [0-9.]+ step-two'
        ! grep -qE '^#[0-9]+ [0-9.]+ step-three' <<<"$output" || fail 'three ran, too' "$output"
    done
}
