#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Build contexts of all kinds: where the files come from, what is left out, what is asked again, and
# what is refused.

load ../lib/cob

setup() {
    cob_setup
    need_program python3 git
    www=$T/www LOG=$T/requests
    mkdir -p "$www" && : >"$LOG"
    export GIT_CONFIG_GLOBAL=$T/gitconfig
    git config --global user.name n && git config --global user.email e@example.com
    git config --global init.defaultBranch main
}

teardown() {
    [ -z "${SERVER_PID:-}" ] || kill "$SERVER_PID"
    cob_teardown
}

# serve: the web server on $www; sets URL.
serve() {
    python3 "$project/tests/lib/remote_server.py" "$www" "$LOG" >"$T/port" 2>"$T/server.log" 3>&- &
    SERVER_PID=$!
    for _ in $(seq 100); do
        [ -s "$T/port" ] && break
        sleep 0.05
    done
    URL=http://127.0.0.1:$(cat "$T/port")
}

# tar_build ARGUMENT...: build into $T/out.tar.
tar_build() {
    rm -f "$T/out.tar"
    run "$COB" build --progress=plain -o "type=tar,dest=$T/out.tar" "$@"
}

# expect_files NAME...: what was built has these, in order of their bytes, and nothing else.
expect_files() {
    expect_status 0
    expect_equal "$(tar tf "$T/out.tar" | sed 's,^\./,,; s,/$,,' | LC_ALL=C sort | tr '\n' ' ')" "$* "
}

content() {
    tar -xOf "$T/out.tar" "$1"
}

# project_files: a Dockerfile that copies everything, two files, an ignore file for one of them,
# which counts in a directory alone.
project_files() {
    printf 'FROM scratch\nCOPY . /\n' >Dockerfile
    echo one >one && echo two >two && echo two >.dockerignore
}

# --- standard input ---

@test "stdin: an archive, plain and compressed, with its Dockerfile and ignore file" {
    project_files
    local way
    for way in cat 'gzip -c' 'bzip2 -c' 'xz -c' 'zstd -qc'; do
        tar -cf "$T/x.tar" .
        run bash -c "$way <'$T/x.tar' | '$COB' build --progress=plain -o type=tar,dest='$T/out.tar' -"
        expect_output '[internal] load remote build context'
        expect_files .dockerignore Dockerfile one two
        refuse_output 'load .dockerignore'
    done
    expect_output CACHED
}

@test "stdin: -f names a file in the archive, or one of one's own by its whole path" {
    project_files
    mkdir sub && printf 'FROM scratch\nCOPY two /in-sub\n' >sub/D && : >sub/D.dockerignore
    tar -cf "$T/x.tar" .
    tar_build -f sub/D - <"$T/x.tar"
    expect_files in-sub
    printf 'FROM scratch\nCOPY one /own\n' >"$T/D"
    tar_build -f "$T/D" - <"$T/x.tar"
    expect_files own
    tar_build -f none - <"$T/x.tar"
    expect_status 1
    expect_output 'ERROR: failed to solve: failed to read dockerfile: open none: no such file or directory'
}

@test "ignore files: only a directory that the user has leaves something out" {
    project_files && serve && repository
    local way
    echo one >Dockerfile.dockerignore
    tar_build .
    expect_files .dockerignore Dockerfile Dockerfile.dockerignore two
    cp Dockerfile "$T/Own" && printf '*\n!two\n' >"$T/Own.dockerignore"
    tar_build -f "$T/Own" .
    expect_files two
    # A Dockerfile of one's own with an ignore file beside it does not change that.
    tar -cf "$T/x.tar" . && cp "$T/x.tar" "$www/x.tar"
    for way in - "$URL/etag/x.tar"; do
        tar_build -f "$T/Own" "$way" <"$T/x.tar"
        expect_files .dockerignore Dockerfile Dockerfile.dockerignore one two
    done
    # In contexts with a name, too: .dockerignore of directories alone, and never that beside it.
    mkdir d && echo x >d/x && echo y >d/y && echo x >d/.dockerignore
    printf 'FROM scratch\nCOPY --from=d . /d/\nCOPY --from=g . /g/\n' >Dockerfile
    echo '**/y' >Dockerfile.dockerignore
    tar_build --build-context d=d --build-context "g=$URL/r.git#v1:sub" .
    expect_files d d/.dockerignore d/y g g/Dockerfile g/x
    tar_build --build-context d=d --build-context "g=$URL/r.git" .
    expect_files d d/.dockerignore d/y g g/.dockerignore g/Dockerfile g/one g/sub g/sub/Dockerfile \
        g/sub/x g/two
    # Nor does the check of copies that it prevents.
    rm Dockerfile.dockerignore && printf 'FROM scratch\nCOPY two /\n' >Dockerfile
    tar -cf "$T/x.tar" .
    run "$COB" build --check .
    expect_output 'CopyIgnoredFile'
    run "$COB" build --check - <"$T/x.tar"
    expect_output 'no warnings found'
    echo '[' >Dockerfile.dockerignore
    run "$COB" build .
    expect_status 1
    expect_output 'Dockerfile.dockerignore:1'
}

@test "stdin: owners of an archive are kept, as BuildKit keeps them" {
    printf 'FROM scratch\nCOPY a /\n' >Dockerfile && echo a >a
    tar --owner=7 --group=8 -cf "$T/x.tar" .
    tar_build - <"$T/x.tar"
    expect_status 0
    [ "$(tar --numeric-owner -tvf "$T/out.tar" a | awk '{ print $2 }')" = 7/8 ]
}

@test "stdin: a Dockerfile alone has an empty context; -f - goes with any context" {
    printf 'FROM scratch\nCOPY . /all/\n' >"$T/D"
    tar_build - <"$T/D"
    expect_files all
    project_files
    tar_build -f - . <"$T/D"
    expect_files all all/.dockerignore all/Dockerfile all/one
    expect_output '[internal] load .dockerignore'
    serve && tar -cf "$www/x.tar" .
    tar_build -f - "$URL/etag/x.tar" <"$T/D"
    expect_files all all/.dockerignore all/Dockerfile all/one all/two
}

@test "stdin: a text longer than a block is a Dockerfile to its last line" {
    { echo FROM scratch && for i in $(seq 200); do echo "LABEL l$i=$i"; done; } | run "$COB" build --call=outline -
    { echo FROM scratch && for i in $(seq 200); do echo "LABEL l$i=$i"; done && echo WRONG; } >"$T/D"
    run "$COB" build - <"$T/D"
    expect_status 1
    expect_output 'dockerfile parse error on line 202: unknown instruction: WRONG'
}

@test "stdin: empty, twice, ambiguous, half an archive" {
    run "$COB" build - </dev/null
    expect_status 1
    expect_output 'ERROR: failed to solve: the Dockerfile cannot be empty'
    run "$COB" build -f - - </dev/null
    expect_status 1
    expect_exact "ERROR: invalid argument: can't use stdin for both build context and dockerfile"
    run "$COB" build -f Dockerfile - <<<'FROM scratch'
    expect_status 1
    expect_exact 'ERROR: ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles'
    project_files && head -c 20000 /dev/urandom >random && tar -cf "$T/x.tar" . && gzip -k "$T/x.tar"
    local file
    for file in x.tar x.tar.gz; do
        head -c 12000 "$T/$file" >"$T/half"
        run "$COB" build --progress=plain - <"$T/half"
        expect_status 1
        expect_output 'ERROR: failed to solve: unpack the archive on standard input:'
    done
}

# --- URLs ---

@test "url: an archive is a context; unchanged, it is not transferred or unpacked again" {
    project_files && serve && tar -czf "$www/x.tar.gz" .
    tar_build "$URL/etag/x.tar.gz"
    expect_files .dockerignore Dockerfile one two
    tar_build "$URL/etag/x.tar.gz"
    expect_output CACHED
    expect_files .dockerignore Dockerfile one two
    [ "$(cat "$LOG")" = "GET /etag/x.tar.gz 200
GET /etag/x.tar.gz 304" ]
    expect_equal "$("$COB" du --verbose | grep -c 'unpacked')" 1 'unpacked archives'
    echo three >three && tar -czf "$www/x.tar.gz" .
    tar_build "$URL/etag/x.tar.gz"
    expect_files .dockerignore Dockerfile one three two
}

@test "url: a file that is no archive is the Dockerfile, and the context is that file" {
    serve && printf 'FROM scratch\nCOPY . /\n' >"$www/D"
    tar_build "$URL/plain/D"
    expect_files context
    printf 'FROM scratch\nCOPY one /\n' >"$www/D" && project_files
    tar_build -f "$URL/plain/D" .
    expect_files one
    tar_build -f "$URL/plain/none" .
    expect_status 1
    expect_output 'failed to solve: failed to read dockerfile:' 404
}

@test "url: errors name it" {
    serve
    run "$COB" build "$URL/etag/none.tar"
    expect_status 1
    expect_output "ERROR: failed to solve: download $URL/etag/none.tar:" 404
    head -c 3000 /dev/urandom | gzip | head -c 2000 >"$www/half.gz"
    run "$COB" build "$URL/etag/half.gz"
    expect_status 1
    expect_output "failed to solve: unpack $URL/etag/half.gz:"
}

# --- git ---

# repository: $www/r.git with a branch, a tag, a directory.
repository() {
    git init -q "$T/r"
    (
        cd "$T/r" && project_files && mkdir sub && printf 'FROM scratch\nCOPY . /\n' >sub/Dockerfile
        echo x >sub/x && git add -A && git commit -qm first && git tag v1
        git checkout -qb side && echo side >side && git add -A && git commit -qm side && git checkout -q main
    )
    rm -rf "$www/r.git" && git clone -q --mirror "$T/r" "$www/r.git"
}

@test "git: refs, directories, the query form, -f inside it" {
    repository && serve
    tar_build "$URL/r.git"
    expect_files .dockerignore Dockerfile one sub sub/Dockerfile sub/x two
    tar_build "$URL/r.git#side"
    expect_files .dockerignore Dockerfile one side sub sub/Dockerfile sub/x two
    tar_build "$URL/r.git#v1:sub"
    expect_files Dockerfile x
    tar_build "$URL/r.git?branch=side&subdir=sub"
    expect_files Dockerfile x
    tar_build -f sub/Dockerfile "$URL/r.git#$(git -C "$T/r" rev-parse side)"
    expect_files .dockerignore Dockerfile one side sub sub/Dockerfile sub/x two
    tar_build --build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR=1 "$URL/r.git"
    expect_status 0
    tar tf "$T/out.tar" | grep -q '^\.git/HEAD$'
}

@test "git: a commit is fetched once, and the next build has all steps from the cache" {
    repository && serve
    tar_build "$URL/r.git"
    expect_status 0
    : >"$LOG"
    tar_build "$URL/r.git"
    expect_status 0
    expect_output CACHED
    ! grep -v 'info/refs\|git-upload-pack' "$LOG"
    expect_equal "$(grep -c 'POST' "$LOG")" 1 'questions to git, of one ls-remote'
}

@test "git: what is wrong is said" {
    repository && serve
    run "$COB" build "$URL/r.git#none"
    expect_status 1
    expect_output 'ERROR: failed to solve: ' none
    run "$COB" build "$URL/r.git#main:nowhere"
    expect_status 1
    expect_output 'ERROR: failed to solve: ' nowhere
    run "$COB" build "$URL/r.git?branch=a&branch=b"
    expect_status 1
    expect_output 'ERROR: unable to prepare context: '
    run "$COB" build 'foo://host/x'
    expect_status 1
    expect_exact 'ERROR: unable to prepare context: path "foo://host/x" not found'
}

# --- what a hostile context may not do ---

@test "hostile: Dockerfile and ignore file that are symlinks stay inside, and no pipe blocks" {
    printf 'FROM scratch\nLABEL secret=1\n' >"$T/outside"
    project_files && ln -sf "$T/outside" Dockerfile && tar -cf "$T/x.tar" .
    tar_build - <"$T/x.tar"
    expect_status 1
    expect_output 'failed to read dockerfile: open Dockerfile: no such file or directory'
    rm Dockerfile && mkfifo Dockerfile && tar -cf "$T/x.tar" .
    run timeout 20 "$COB" build - <"$T/x.tar"
    expect_status 1
    expect_output 'open Dockerfile: not a regular file'
    rm Dockerfile && project_files && ln -sf "$T/outside" .dockerignore
    tar_build .
    expect_files .dockerignore Dockerfile one two
    rm .dockerignore && mkfifo .dockerignore
    run timeout 20 "$COB" build .
    expect_status 1
    expect_output 'open .dockerignore: not a regular file'
}

@test "dockerfile: a symlink out of its folder is not followed, as BuildKit has it" {
    mkdir "$T/else" && printf 'FROM scratch\n' >"$T/else/D" && ln -s ../else/D Dockerfile
    run "$COB" build .
    expect_status 1
    expect_output 'ERROR: failed to solve: failed to read dockerfile: open ./Dockerfile: no such file or directory'
    rm Dockerfile && ln -s D Dockerfile && cp "$T/else/D" D
    run "$COB" build .
    expect_status 0
}

# --- named contexts ---

@test "named: a directory in the place of a stage, an image, and of --from" {
    mkdir "$T/dep" && echo f >"$T/dep/f" && echo g >"$T/dep/g" && echo g >"$T/dep/.dockerignore"
    printf 'FROM busybox AS stage\nRUN false\nFROM scratch\nCOPY --from=stage / /s/\nCOPY --from=other f /o/\n' >Dockerfile
    tar_build --build-context "stage=$T/dep" --build-context "other=$T/dep" .
    expect_output '[context stage] load .dockerignore' '[context stage] load from client'
    expect_files o o/f s s/.dockerignore s/f
    printf 'FROM some.example/image:1\nCOPY --from=some.example/image:1 f /again\n' >Dockerfile
    tar_build --build-context "some.example/image:1=$T/dep" .
    expect_files .dockerignore again f
    tar_build --build-context "some.example/image:1=$T/dep" .
    expect_equal "$(n_cached)" 2 'steps from the cache'
    echo changed >"$T/dep/f"
    tar_build --build-context "some.example/image:1=$T/dep" .
    expect_status 0
    expect_equal "$(content again)" changed
}

@test "named: the one for the platform comes first, scratch and context are never replaced" {
    mkdir "$T/a" "$T/b" && : >"$T/a/a" && : >"$T/b/b" && project_files
    printf 'FROM scratch AS s\nFROM dep\nCOPY --from=s b* /\nCOPY --from=scratch b* /\nCOPY one /\n' >Dockerfile
    tar_build --platform linux/arm64 --build-context "dep::linux/arm64=$T/a" --build-context "dep=$T/b" \
        --build-context "scratch=$T/b" --build-context "context=$T/b" .
    expect_files a one
    tar_build --platform linux/amd64 --build-context "dep::linux/arm64=$T/a" --build-context "dep=$T/b" .
    expect_files b one
}

@test "named: only what is used is walked" {
    mkdir -p "$T/dep/used" "$T/dep/huge" used huge && echo f >"$T/dep/used/f" && echo f >used/f
    head -c 100000 /dev/zero | tee huge/zeros >"$T/dep/huge/zeros"
    printf 'FROM scratch\nCOPY used /u/\nCOPY --from=dep used /d/\n' >Dockerfile
    is_root || chmod 000 huge "$T/dep/huge"
    run "$COB" debug llb --build-context "dep=$T/dep" .
    expect_output 'identifier: "local://dep"'
    tar_build --build-context "dep=$T/dep" .
    chmod 755 huge "$T/dep/huge"
    expect_files d d/f u u/f
    expect_equal "$(grep -c 'transferring context: 2B' <<<"$output")" 2 'contexts of two bytes'
}

@test "named: git, a URL, an image, and nothing" {
    repository && serve && echo file >"$www/f"
    "$COB" build -q -t base - <<<'FROM scratch
LABEL from=base
ENV A=1'
    printf 'FROM alpine\nCOPY --from=repo one /\nCOPY --from=web /context /web\nCOPY --from=nothing x* /\n' >Dockerfile
    tar_build --build-context "repo=$URL/r.git#side" --build-context "web=$URL/etag/f" \
        --build-context alpine=docker-image://base --build-context nothing=docker-image://scratch .
    expect_files one web
    expect_output '[context alpine] load metadata for docker.io/library/base:latest' "[context web] $URL/etag/f"
    printf 'FROM alpine\nENV B=2\n' >Dockerfile
    run "$COB" build -t derived --build-context alpine=docker-image://base .
    expect_status 0
    expect_output '[context alpine] load metadata for docker.io/library/base:latest'
    config_of derived | grep -q '"A=1","B=2"'
}

@test "named: what is wrong is said" {
    printf 'FROM a\n' >Dockerfile && : >file
    local row
    while IFS='|' read -r row text; do
        run "$COB" build --build-context "$row" .
        [ "$status" -eq 1 ] && [[ $output == *"ERROR: $text"* ]] || fail "$row: wanted $text, got: $output"
    done <<'END'
a|invalid context value: a, expected key=value
A B=.|invalid context name A B: invalid reference format
a::no/such/plat/form=.|invalid context name a::no/such/plat/form
a=nowhere|failed to get build context a: open nowhere: No such file or directory
a=file|failed to get build context a: open file: Not a directory
a=foo://x|failed to get build context a: open foo://x: No such file or directory
a=target:x|context a: target:x is the result of another build
a=input:x|context a: input:x is the result of another build
a=oci-layout://nowhere|invalid store at nowhere: No such file or directory
a=oci-layout://.|oci-layout reference "oci-layout://." could not be resolved: there is no index.json
a=docker-image://A:B:C|failed to solve: context a: invalid reference format
END
}

# --- image layouts ---

# layout: an image of this store as $T/layout, with the tag that `oci` output gives it.
layout() {
    echo in-image >f && printf 'FROM scratch\nCOPY f /\nENV FROM_LAYOUT=1\n' >Dockerfile
    "$COB" build -q -t "img:${1:-v1}" -o "type=oci,dest=$T/layout.tar" . && mkdir -p "$T/layout" && tar -xf "$T/layout.tar" -C "$T/layout"
}

@test "oci-layout: by tag, by digest, alone; its config and layers count" {
    layout
    printf 'FROM dep\nCOPY --from=dep f /again\n' >Dockerfile
    local ref digest
    digest=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["manifests"][0]["digest"])' "$T/layout/index.json")
    for ref in "" :v1 ":v1@$digest" "@$digest"; do
        tar_build --build-context "dep=oci-layout://$T/layout$ref" .
        expect_files again f
    done
    expect_output '[context dep] OCI load from client' CACHED
    run "$COB" build -q -o "type=oci,dest=$T/o2.tar" --build-context "dep=oci-layout://$T/layout" .
    mkdir "$T/o2" && tar -xf "$T/o2.tar" -C "$T/o2" && grep -rq FROM_LAYOUT=1 "$T/o2"
}

@test "oci-layout: every byte is checked" {
    layout
    printf 'FROM dep\n' >Dockerfile
    local blob
    for blob in "$T"/layout/blobs/sha256/*; do
        cp "$blob" "$T/kept" && chmod u+w "$blob" && printf x >>"$blob"
        COB_ROOT=$store/other tar_build --no-cache --build-context "dep=oci-layout://$T/layout" .
        expect_status 1
        expect_output "${blob##*/}"
        cp "$T/kept" "$blob"
    done
    rm "$T/layout/blobs/sha256/"* && mkfifo "$blob"
    run timeout 20 "$COB" build --build-context "dep=oci-layout://$T/layout" .
    expect_status 1
    echo '{"manifests":[]}' >"$T/layout/index.json"
    run "$COB" build --build-context "dep=oci-layout://$T/layout:v9" .
    expect_status 1
    expect_output "oci-layout reference \"oci-layout://$T/layout:v9\" could not be resolved: index.json"
}

# --- SOURCE_DATE_EPOCH ---

# created: the time in the config that the last build wrote to $T/oci.tar.
created() {
    rm -rf "$T/oci" && mkdir "$T/oci" && tar -xf "$T/oci.tar" -C "$T/oci"
    grep -rhoE '"created":"[^"]*"' "$T/oci/blobs" | sort -u
}

@test "epoch: of the context, of a named one, of a stage" {
    repository && serve && echo f >"$www/f" && touch -d @1000000000 "$www/f"
    local commit
    commit=$(TZ=UTC git -C "$T/r" log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd main)
    run "$COB" build --build-arg SOURCE_DATE_EPOCH=context -o "type=oci,dest=$T/oci.tar" "$URL/r.git"
    expect_status 0
    expect_equal "$(created)" "\"created\":\"$commit\""
    printf 'FROM scratch AS when\nARG P=etag\nADD %s/$P/f /\nFROM scratch\nCOPY Dockerfile /\n' "$URL" >Dockerfile
    run "$COB" build --build-arg SOURCE_DATE_EPOCH=when -o "type=oci,dest=$T/oci.tar" .
    expect_status 0
    expect_equal "$(created)" '"created":"2001-09-09T01:46:40Z"'
    run "$COB" build --build-arg SOURCE_DATE_EPOCH=dep --build-context "dep=$URL/r.git" -o "type=oci,dest=$T/oci.tar" .
    expect_status 0
    expect_equal "$(created)" "\"created\":\"$commit\""
    touch -d @1100000000 Dockerfile && tar --mtime=@1100000000 -cf "$T/x.tar" Dockerfile
    run "$COB" build --build-arg SOURCE_DATE_EPOCH=context -o "type=oci,dest=$T/oci.tar" - <"$T/x.tar"
    expect_status 0
    expect_equal "$(created)" '"created":"2004-11-09T11:33:20Z"'
    run "$COB" build --build-arg SOURCE_DATE_EPOCH=context -o "type=oci,dest=$T/oci.tar" .
    expect_status 0
}

@test "epoch: a global ARG has one for builds that are given none" {
    serve && echo f >"$www/f" && touch -d @1000000000 "$www/f"
    local row args epoch stage # what the file is called, by what the stage sees
    while IFS='|' read -r row args epoch stage; do
        printf 'ARG SOURCE_DATE_EPOCH=%s\nFROM scratch AS src\nADD %s/etag/f /\nFROM scratch\nARG SOURCE_DATE_EPOCH\nCOPY <<END /${SOURCE_DATE_EPOCH-none}\nEND\n' \
            "$row" "$URL" >Dockerfile
        # shellcheck disable=SC2086
        run "$COB" build $args -o "type=oci,dest=$T/oci.tar" -o "type=tar,dest=$T/out.tar" .
        expect_status 0
        [ "$epoch" = now ] || expect_equal "$(created)" "\"created\":\"$epoch\"" "$row $args"
        [ "$epoch" != now ] || [[ $(created) == *"\"$(date -u +%Y)"* ]] || fail "$row $args: $(created)"
        expect_files "$stage"
    done <<'END'
1000000000||2001-09-09T01:46:40Z|1000000000
src||2001-09-09T01:46:40Z|1000000000
src|--build-arg SOURCE_DATE_EPOCH=7|1970-01-01T00:00:07Z|7
7|--build-arg SOURCE_DATE_EPOCH=src|2001-09-09T01:46:40Z|1000000000
7|--build-arg SOURCE_DATE_EPOCH=|now|none
context||now|none
""||now|END
END
    # An ARG of a stage alone has none to say.
    printf 'FROM scratch\nARG SOURCE_DATE_EPOCH=7\nCOPY <<END /$SOURCE_DATE_EPOCH\nEND\n' >Dockerfile
    run "$COB" build -o "type=oci,dest=$T/oci.tar" -o "type=tar,dest=$T/out.tar" .
    expect_files 7
    [[ $(created) == *"\"$(date -u +%Y)"* ]] || fail "$(created)"
    printf 'ARG X=y\nARG SOURCE_DATE_EPOCH=${X}es\nFROM scratch\n' >Dockerfile
    run "$COB" build .
    expect_status 1
    expect_output 'ERROR: failed to solve: invalid SOURCE_DATE_EPOCH: yes'
}

@test "epoch: what is wrong is said" {
    printf 'FROM scratch AS a\nRUN x\nFROM busybox AS b\nFROM scratch AS c\nADD f /\nFROM scratch\n' >Dockerfile
    local row
    while IFS='|' read -r row text; do
        run "$COB" build --build-arg "SOURCE_DATE_EPOCH=$row" .
        [ "$status" -eq 1 ] && [[ $output == *"ERROR: failed to solve: $text"* ]] || fail "$row: got: $output"
    done <<'END'
none|invalid SOURCE_DATE_EPOCH: none
1.5|invalid SOURCE_DATE_EPOCH: 1.5
a|SOURCE_DATE_EPOCH stage does not meet source-only requirements: unsupported run instruction
b|SOURCE_DATE_EPOCH stage must use FROM scratch
c|SOURCE_DATE_EPOCH stage source must be a single HTTP(S) or Git ADD
END
}
