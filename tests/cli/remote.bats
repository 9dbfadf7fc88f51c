#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ADD of URLs and of git repositories: what arrives, what is asked again, what is refused.

load ../lib/cob

setup() {
    cob_setup
    need_program python3 git
    www=$T/www LOG=$T/requests LOGIN='Bearer sesame-5e3c'
    mkdir -p "$www" && : >"$LOG"
    export GIT_CONFIG_GLOBAL=$T/gitconfig
    git config --global user.name n && git config --global user.email e@example.com
    git config --global protocol.file.allow always && git config --global init.defaultBranch main
}

teardown() {
    [ -z "${SERVER_PID:-}" ] || kill "$SERVER_PID"
    cob_teardown
}

# serve: the web server on $www; sets URL.
serve() {
    python3 "$project/tests/lib/remote_server.py" "$www" "$LOG" "$LOGIN" >"$T/port" 2>"$T/server.log" 3>&- &
    SERVER_PID=$!
    for _ in $(seq 100); do
        [ -s "$T/port" ] && break
        sleep 0.05
    done
    PORT=$(cat "$T/port")
    URL=http://127.0.0.1:$PORT
}

# add OPTIONS-OF-BUILD... -- LINE...: build FROM scratch with these lines; the result is out.tar.
add() {
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1") && shift
    done
    shift
    { echo FROM scratch && printf '%s\n' "$@"; } >"$T/Dockerfile"
    : >"$LOG"
    run "$COB" build --progress=plain "${options[@]}" -f "$T/Dockerfile" -o "type=tar,dest=$T/out.tar" .
}

# files: mode, owner and name of what was built, and where links lead.
files() {
    tar --numeric-owner -tvf "$T/out.tar" | awk '{ print $1, $2, $6 $7 $8 }' | grep -v ' \./\?$' | LC_ALL=C sort -k3
}

content() {
    tar -xOf "$T/out.tar" "$1"
}

# repository NAME: $www/NAME.git, made of a work tree $T/NAME with a first commit, branches and tags.
repository() {
    git init -q "$T/$1"
    (
        cd "$T/$1" || exit 1
        mkdir -p sub/dir && echo one >one && echo two >sub/dir/two && chmod 755 one && ln -s one link
        git add -A && git commit -qm first && git tag light && git tag -a -m t heavy
        git checkout -qb side && echo side >side && git add -A && git commit -qm side
        git update-ref refs/pull/7/head HEAD && git checkout -q main
    )
    publish "$1"
}

publish() {
    rm -rf "$www/$1.git" && git clone -q --mirror "$T/$1" "$www/$1.git"
}

secret() {
    printf '%s\n' "$2" >"$T/secret-$1" && echo "id=$1,src=$T/secret-$1"
}

# expect_no_output TEXT...: the last output has none of them.
expect_no_output() {
    local text
    for text; do
        [[ $output != *"$text"* ]] || { echo "the output has $text: $output" >&2 && return 1; }
    done
}

# no_trace TEXT: neither the store nor the last output has it.
no_trace() {
    expect_no_output "$1"
    if as_store_owner grep -rqF -e "$1" "$COB_ROOT"; then
        echo "the store has $1" >&2
        return 1
    fi
}

# --- URLs ---

@test "add url: a file arrives with mode, time and owner as BuildKit gives them" {
    echo hello >"$www/f.txt" && touch -d @1000000000 "$www/f.txt" && serve
    add -- "ADD $URL/etag/f.txt /a/" "ADD --chmod=640 --chown=5:6 $URL/plain/f.txt?sig=1 /b" "ADD $URL/etag/f.txt $URL/go/f.txt /c/"
    expect_status 0
    expect_output "ADD $URL/etag/f.txt /a/" 'downloading 6B'
    run files
    expect_exact 'drwxr-xr-x 0/0 a/
-rw------- 0/0 a/f.txt
-rw-r----- 5/6 b
drwxr-xr-x 0/0 c/
-rw------- 0/0 c/f.txt'
    [ "$(content a/f.txt)" = hello ]
    [ "$(tar --utc --full-time -tvf "$T/out.tar" a/f.txt | awk '{ print $4, $5 }')" = "2001-09-09 01:46:40" ]
    [ "$(tar --utc --full-time -tvf "$T/out.tar" b | awk '{ print $4, $5 }')" = "1970-01-01 00:00:00" ]
}

@test "add url: what has not changed is not transferred again" {
    echo hello >"$www/f.txt" && serve
    local way
    for way in etag last; do
        add -- "ADD $URL/$way/f.txt /"
        expect_status 0
        [ "$(cat "$LOG")" = "GET /$way/f.txt 200" ]
        add -- "ADD $URL/$way/f.txt /"
        expect_output CACHED
        [ "$(cat "$LOG")" = "GET /$way/f.txt 304" ]
    done
    add -- "ADD $URL/plain/f.txt /"
    add -- "ADD $URL/plain/f.txt /"
    expect_output CACHED # the same bytes, though they had to be read
    echo other >"$www/f.txt"
    add -- "ADD $URL/etag/f.txt /"
    [ "$(cat "$LOG")" = "GET /etag/f.txt 200" ]
    [ "$(content f.txt)" = other ]
}

@test "add url: with a checksum nobody is asked a second time, and other bytes are refused" {
    echo hello >"$www/f.txt" && serve
    local good bad
    good=sha256:$(sha256sum <"$www/f.txt" | cut -d' ' -f1) bad=sha256:$(sha256sum </dev/null | cut -d' ' -f1)
    add -- "ADD --checksum=$good $URL/plain/f.txt /"
    expect_status 0
    add -- "ADD --checksum=$good $URL/plain/f.txt /"
    expect_output CACHED
    [ ! -s "$LOG" ]
    add -- "ADD --checksum=$good $URL/plain/f.txt /elsewhere"
    expect_status 0
    [ ! -s "$LOG" ]
    add -- "ADD --checksum=$bad $URL/plain/f.txt /x"
    expect_status 1
    expect_output "checksum of $URL/plain/f.txt: the content has digest $good, but $bad was expected"
}

@test "add url: a checksum may be of sha384 and sha512" {
    serve
    local n good bad
    for n in 384 512; do
        echo hello >"$www/f$n.txt"
        good=sha$n:$("sha${n}sum" <"$www/f$n.txt" | cut -d' ' -f1) bad=sha$n:$("sha${n}sum" </dev/null | cut -d' ' -f1)
        add -- "ADD --checksum=$bad $URL/plain/f$n.txt /x"
        expect_status 1
        expect_output "checksum of $URL/plain/f$n.txt: the content has digest $good, but $bad was expected"
        add -- "ADD --checksum=$good $URL/plain/f$n.txt /"
        expect_status 0
        [ "$(content f$n.txt)" = hello ]
        add -- "ADD --checksum=$good $URL/plain/f$n.txt /elsewhere"
        expect_status 0
        [ ! -s "$LOG" ] # what is there has it
        add -- "ADD --checksum=$bad $URL/plain/f$n.txt /x"
        expect_status 1
    done
}

@test "add url: archives are unpacked when that is said" {
    mkdir d && echo in >d/in && tar -czf "$www/a.tgz" d && serve
    add -- "ADD $URL/etag/a.tgz /plain/" "ADD --unpack $URL/etag/a.tgz /open/" "ADD --unpack=false $URL/etag/a.tgz /shut/"
    expect_status 0
    run files
    expect_output open/d/in plain/a.tgz shut/a.tgz
    expect_no_output plain/d open/a.tgz
}

@test "add url: secrets go to their host alone, and are kept nowhere" {
    echo hello >"$www/f.txt" && serve
    add -- "ADD $URL/private/etag/f.txt /"
    expect_status 1
    expect_output "download $URL/private/etag/f.txt: status 401; a secret HTTP_AUTH_HEADER_127.0.0.1 or"
    add --secret "$(secret HTTP_AUTH_TOKEN_127.0.0.1 sesame-5e3c)" -- "ADD $URL/private/etag/f.txt /"
    expect_status 0
    no_trace sesame-5e3c
    add --secret "$(secret HTTP_AUTH_HEADER_127.0.0.1 "$LOGIN")" -- "ADD $URL/private/go/f.txt /x"
    expect_status 0
    [ "$(cat "$LOG")" = "GET /private/go/f.txt 302 auth
GET /etag/f.txt 200" ]
    no_trace sesame-5e3c
    add --secret "$(secret HTTP_AUTH_TOKEN_localhost sesame-5e3c)" -- "ADD $URL/private/etag/f.txt /y"
    expect_status 1
}

@test "add url: table of servers that hurt" {
    echo hello >"$www/f.txt" && serve
    local name path want failed=0
    while IFS='|' read -r name path want; do
        add -- "ADD $URL/$path /x"
        if [ "$status" -eq 0 ] || [[ $output != *"$want"* ]]; then
            printf '%s: status %s, got: %s; wanted: %s\n' "$name" "$status" "$output" "$want" >&2
            failed=1
        fi
    done <<'END'
a loop|loop|more than 10 in a row
not there|etag/none|not found (status 404)
END
    add -- "ADD $URL/named/f.txt /d/" "ADD $URL/plain/f.txt /e/..%2fx" "ADD $URL/named/%66.txt /f/"
    expect_status 0
    run files
    expect_output d/f.txt 'e/..%2fx' f/f.txt
    [ "$failed" -eq 0 ]
}

# --- git ---

@test "add git: branches, tags, commits, and parts of them" {
    repository r && serve
    local commit side name source want failed=0
    commit=$(git -C "$T/r" rev-parse main) side=$(git -C "$T/r" rev-parse side)
    while IFS='|' read -r name source want; do
        add -- "ADD $URL/r.git$source /"
        got=$(files | awk '{ print $3 }' | paste -sd,)
        if [ "$status" -ne 0 ] || [ "$got" != "$want" ]; then
            printf '%s: %s: got: %s; wanted: %s\n%s\n' "$name" "$source" "$got" "$want" "$output" >&2
            failed=1
        fi
    done <<END
default||link->one,one,sub/,sub/dir/,sub/dir/two
branch|#side|link->one,one,side,sub/,sub/dir/,sub/dir/two
branch in full|#refs/heads/side:sub|dir/,dir/two
tag|#light:sub/dir|two
tag with a text|#heavy:sub/dir|two
pull request|#refs/pull/7/head|link->one,one,side,sub/,sub/dir/,sub/dir/two
pull request, short|#pull/7/head:sub/dir|two
commit|#$commit:sub/dir|two
commit of no branch's end|#$side:sub/dir|two
commit, short|#${side:0:9}:sub/dir|two
query|?branch=side&subdir=sub|dir/,dir/two
query of a tag|?tag=heavy&subdir=/sub/dir/|two
query with a checksum|?checksum=${commit:0:8}&subdir=sub/dir|two
query of a commit|?fetch-by-commit&commit=$commit&subdir=sub/dir|two
END
    [ "$failed" -eq 0 ]
    add -- "ADD --chown=3:4 $URL/r.git /d"
    run files
    expect_output 'drwxr-xr-x 3/4 d/' '-rwxr-xr-x 3/4 d/one' '-rw-r--r-- 3/4 d/sub/dir/two' 'lrwxrwxrwx 3/4 d/link->one'
}

@test "add git: what has not changed is not fetched again, and what has is" {
    repository r && serve
    add -- "ADD $URL/r.git /"
    expect_status 0
    add -- "ADD $URL/r.git /"
    expect_output CACHED
    [ "$(grep -c POST "$LOG")" -eq 1 ] # ls-remote
    (cd "$T/r" && echo new >new && git add -A && git commit -qm second) && publish r
    add -- "ADD $URL/r.git /"
    expect_no_output CACHED
    [ "$(content new)" = new ]
    add -- "ADD $URL/r.git#$(git -C "$T/r" rev-parse main) /"
    expect_status 0
    [ ! -s "$LOG" ] # the mirror has it
}

@test "add git: --keep-git-dir keeps one commit that git understands" {
    repository r && serve
    add -- "ADD --keep-git-dir $URL/r.git#heavy /r" "ADD $URL/r.git?keep-git-dir=1&branch=side /s"
    expect_status 0
    mkdir "$T/x" && tar -xf "$T/out.tar" -C "$T/x" --no-same-owner
    run git -C "$T/x/r" -c safe.directory='*' status --porcelain
    expect_exact ''
    run git -C "$T/x/r" -c safe.directory='*' describe
    expect_exact heavy
    run git -C "$T/x/r" -c safe.directory='*' remote -v
    expect_output "origin	$URL/r.git (fetch)"
    run git -C "$T/x/s" -c safe.directory='*' log --format=%s%d side --
    expect_exact 'side (grafted, HEAD, side)'
    [ ! -e "$T/x/r/.git/hooks" ]
    run ! grep -rF "$store" "$T/x/r/.git"
}

@test "add git: submodules come with it, relative ones and ones in them, unless not wanted" {
    repository inner && repository outer && serve
    git -C "$T/inner" submodule --quiet add "$URL/outer.git" deep 2>/dev/null
    git -C "$T/inner" commit -qm sub && publish inner
    repository top
    (cd "$T/top" && git submodule --quiet add "$URL/inner.git" mods/in && git config -f .gitmodules submodule.mods/in.url ../inner.git && git add -A && git commit -qm sub) && publish top
    add -- "ADD $URL/top.git /t" "ADD $URL/top.git?submodules=false /u" "ADD $URL/top.git#:mods/in/deep /v"
    expect_status 0
    run files
    expect_output t/mods/in/deep/sub/dir/two t/mods/in/one u/mods/in/ v/sub/dir/two
    expect_no_output u/mods/in/one
    [ "$(files | grep -c '\.git$')" -eq 0 ]
}

@test "add git: mtime=commit gives every file the commit's time" {
    repository r && serve
    (cd "$T/r" && GIT_COMMITTER_DATE='@1000000000 +0000' git commit -q --amend --no-edit) && publish r
    add -- "ADD $URL/r.git?mtime=commit /d"
    expect_status 0
    [ "$(tar --utc --full-time -tvf "$T/out.tar" d/one d/link d/sub/dir/two | awk '{ print $4, $5 }' | sort -u)" = "2001-09-09 01:46:40" ]
}

@test "add git: a token goes to its host, and is kept nowhere" {
    LOGIN="basic $(printf x-access-token:sesame-5e3c | base64 -w0)"
    repository r && serve
    add -- "ADD $URL/private/r.git /"
    expect_status 1
    expect_output "could not read Username" "--secret id=GIT_AUTH_TOKEN,... gives it a token"
    add --secret "$(secret GIT_AUTH_TOKEN sesame-5e3c)" -- "ADD --keep-git-dir $URL/private/r.git /"
    expect_status 0
    grep -q 'auth$' "$LOG"
    no_trace sesame-5e3c
    no_trace "${LOGIN#basic }"
    tar -xOf "$T/out.tar" >"$T/all"
    run ! grep -qF -e sesame -e "${LOGIN#basic }" "$T/all"
    add --secret "$(secret "GIT_AUTH_HEADER.127.0.0.1:$PORT" "$LOGIN")" --secret "$(secret GIT_AUTH_TOKEN wrong)" -- "ADD $URL/private/r.git /x"
    expect_status 0
    add --secret "$(secret GIT_AUTH_TOKEN.example.com sesame-5e3c)" -- "ADD $URL/private/r.git#side /y"
    expect_status 1
    run ! grep -q 'auth$' "$LOG"
}

@test "add git: table of what is refused" {
    repository r && serve
    (cd "$T/r" && git checkout -q side && ln -s / root && ln -s sub alias && git add -A && git commit -qm links && git checkout -q main) && publish r
    local name source want failed=0
    while IFS='|' read -r name source want; do
        add -- "ADD $source /x"
        if [ "$status" -eq 0 ] || [[ $output != *"$want"* ]]; then
            printf '%s: status %s, got: %s; wanted: %s\n' "$name" "$status" "$output" "$want" >&2
            failed=1
        fi
    done <<END
no such ref|$URL/r.git#none|$URL/r.git: repository does not contain ref none
no such commit|$URL/r.git#$(printf '0%.0s' $(seq 39))1|the repository has no commit
no such short commit|$URL/r.git#1234567|repository does not contain ref 1234567
another commit|$URL/r.git?checksum=0123|expected checksum to match 0123, got
no such folder|$URL/r.git#:none|the commit has no directory none
a file|$URL/r.git#:one|invalid subdir one: each part of it must be a directory, and no link
a link to a folder|$URL/r.git#side:alias|invalid subdir alias
through a link|$URL/r.git#side:alias/dir|invalid subdir alias/dir
a link out|$URL/r.git#side:root|invalid subdir root
through a link out|$URL/r.git#side:root/etc|invalid subdir root/etc
no repository|$URL/none.git|not found
nobody there|git://127.0.0.1:1/r|unable to connect
END
    [ "$failed" -eq 0 ]
}

@test "add git: repositories that want more than to be read" {
    repository r && serve
    local canary=$T/canary
    # a submodule with a path, a name or a URL that would run something
    (
        cd "$T/r" || exit 1
        id=$(git rev-parse HEAD)
        git checkout -qb evil-url
        printf '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch %s"\n' "$canary" >.gitmodules
        git add .gitmodules && git update-index --add --cacheinfo "160000,$id,x" && git commit -qm evil
        git checkout -qb evil-file main -f
        printf '[submodule "x"]\n\tpath = x\n\turl = file://%s\n' "$T/r" >.gitmodules
        git add .gitmodules && git update-index --add --cacheinfo "160000,$id,x" && git commit -qm evil
        git checkout -qb evil-link main -f
        ln -s / x && printf '[submodule "../../modules/x"]\n\tpath = x/tmp\n\turl = ../r.git\n\tupdate = !touch %s\n' "$canary" >.gitmodules
        git add -A && git commit -qm evil
        git checkout -qb evil-hooks main -f
        printf '*.x filter=evil\n' >.gitattributes && echo x >a.x
        printf '#!/bin/sh\ntouch %s\n' "$canary" >post-checkout && chmod 755 post-checkout
        git add -A && git commit -qm evil && git checkout -q main -f
    ) 2>/dev/null
    publish r
    add -- "ADD $URL/r.git#evil-url /"
    expect_status 1
    expect_output 'submodule at x:' 'is not a URL of https, http, ssh or git'
    add -- "ADD $URL/r.git#evil-file /"
    expect_status 1
    expect_output 'is not a URL of https, http, ssh or git'
    add -- "ADD $URL/r.git#evil-link /" # there is no commit at that path: nothing to bring
    expect_status 0
    add -- "ADD --keep-git-dir $URL/r.git#evil-hooks /"
    expect_status 0
    [ ! -e "$canary" ]
}

@test "add git: a server whose HEAD is an option is not believed" {
    repository r
    printf 'ref: refs/heads/--upload-pack=touch x\n' >"$www/r.git/HEAD"
    serve
    add -- "ADD $URL/r.git /"
    expect_status 1
    [ ! -e x ]
}

@test "add: nothing is asked of a server while COPY is all there is, and COPY takes no URL" {
    repository r && echo x >x && serve
    add -- "COPY x /"
    expect_status 0
    [ ! -s "$LOG" ]
    add -- "COPY $URL/r.git /"
    expect_status 1
    expect_output "source can't be a git ref for COPY"
}

@test "add git: over ssh, with no settings of the user, and nobody to be asked" {
    repository r
    mkdir "$T/bin" && cat >"$T/bin/ssh" <<'END'
#!/bin/sh
# What ssh is told to run at its host, here.
echo "$*" >>"$SSH_ARGS"
while [ $# -gt 2 ]; do shift; done
[ "$1" = git@h.example ] && exec sh -c "$2"
END
    chmod 755 "$T/bin/ssh"
    sed -i "s|\$SSH_ARGS|$T/ssh-args|" "$T/bin/ssh"
    PATH=$T/bin:$PATH add -- "ADD git@h.example:$www/r.git#side:sub/dir /"
    expect_status 0
    [ "$(content two)" = two ]
    grep -q '^-F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new .*git/known_hosts ' "$T/ssh-args"
    PATH=$T/bin:$PATH add -- "ADD ssh://git@other.example$www/r.git /"
    expect_status 1
}

@test "add git: a fetch that was killed leaves nothing that the next one trusts" {
    repository r && serve
    add -- "ADD $URL/r.git /"
    expect_status 0
    local mirror
    mirror=$(as_store_owner find "$COB_ROOT/git" -mindepth 1 -maxdepth 1 -type d)
    as_store_owner sh -c "touch '$mirror.busy' '$mirror/shallow.lock' && rm -rf '$mirror/objects'"
    (cd "$T/r" && echo new >new && git add -A && git commit -qm second) && publish r
    add -- "ADD $URL/r.git /"
    expect_status 0
    [ "$(content new)" = new ]
    [ ! -e "$mirror.busy" ]
}

@test "add git: builds at the same time fetch once" {
    repository r && serve
    printf 'FROM scratch\nADD %s/r.git#light /a\n' "$URL" >"$T/Dockerfile"
    : >"$LOG"
    local pids=() pid
    for _ in 1 2 3; do
        "$COB" build -q -f "$T/Dockerfile" . >/dev/null 2>>"$T/errors" &
        pids+=("$!")
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || { cat "$T/errors" >&2 && return 1; }
    done
    [ "$(grep -c 'GET.*upload-pack' "$LOG")" -eq 4 ] # three questions, one fetch
}

@test "add: a full disk is an error, and the next build is none the worse" {
    is_root || skip "only root mounts a small file system"
    head -c 3000000 /dev/urandom >"$www/big" && echo small >"$www/f.txt" && serve
    mkdir -p "$store/small" && mount -t tmpfs -o size=2m none "$store/small" || skip_or_fail "no tmpfs can be mounted"
    COB_ROOT=$store/small/root add -- "ADD $URL/etag/big /"
    expect_status 1
    expect_output 'No space left on device'
    COB_ROOT=$store/small/root add -- "ADD $URL/etag/f.txt /"
    umount "$store/small"
    expect_status 0
}
