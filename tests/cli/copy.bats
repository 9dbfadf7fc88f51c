#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# COPY and ADD: what ends up where, with which owner, mode and times.

load ../lib/cob
setup() { cob_setup; }
teardown() { cob_teardown; }

# listing DOCKERFILE-LINE...: mode owner size name of everything, by tar.
listing() {
    { echo FROM scratch && printf '%s\n' "$@"; } >"$T/Dockerfile"
    "$COB" build --quiet -f "$T/Dockerfile" -o "type=tar,dest=$T/out.tar" . >/dev/null || return 1
    tar --numeric-owner -tvf "$T/out.tar" | awk '{ $4 = $5 = ""; print }' | sed 's/  */ /g; s/\.\/$/\//' |
        grep -v ' \.\?/$' | LC_ALL=C sort -k4
}

tree() {
    mkdir -p dir/sub "dir/empty" other
    echo one >one.txt && echo two >two.txt && echo in >dir/in.txt && echo deep >dir/sub/deep.txt
    echo o >other/o && ln -s in.txt dir/link && chmod 755 two.txt && chmod 600 one.txt
}

@test "copy: table of sources and destinations" {
    tree
    local name line want failed=0
    while IFS='|' read -r name line want; do
        run listing "$line"
        got=$(awk '{ sub(/^[^ ]+ [^ ]+ [^ ]+ /, ""); print }' <<<"$output" | paste -sd,)
        if [ "$status" -ne 0 ] || [ "$got" != "$want" ]; then
            printf '%s: %s: got: %s; wanted: %s\n' "$name" "$line" "$got" "$want" >&2
            failed=1
        fi
    done <<'END'
file to folder|COPY one.txt /d/|d/,d/one.txt
file to name|COPY one.txt /d/n|d/,d/n
file to root|COPY one.txt .|one.txt
two files|COPY one.txt two.txt /d/|d/,d/one.txt,d/two.txt
folder's content|COPY dir /d|d/,d/empty/,d/in.txt,d/link -> in.txt,d/sub/,d/sub/deep.txt
wildcard|COPY *.txt /d/|d/,d/one.txt,d/two.txt
wildcard with ?|COPY on?.txt /d/|d/,d/one.txt
wildcard over folders and links|COPY dir/* /d/|d/,d/deep.txt,d/in.txt,d/link
link, named as the link|COPY dir/link /d/|d/,d/link
JSON form|COPY ["one.txt", "/a b/"]|a b/,a b/one.txt
below a folder|COPY dir/sub/deep.txt /|deep.txt
dot segments|COPY ./dir/../one.txt /|one.txt
exclude|COPY --exclude=*.txt dir /d|d/,d/empty/,d/link -> in.txt,d/sub/,d/sub/deep.txt
END
    [ "$failed" -eq 0 ]
}

@test "copy: heredocs, expanded and as they are" {
    dockerfile <<'END'
FROM scratch
ARG WHO=you
COPY <<one <<'two' /d/
hello $WHO
one
hello $WHO
two
COPY <<-EOT /indented
	no tab
	EOT
END
    build_ok -o "type=local,dest=$T/out" .
    expect_file "$T/out/d/one" 'hello you'
    # shellcheck disable=SC2016
    expect_file "$T/out/d/two" 'hello $WHO'
    expect_file "$T/out/indented" 'no tab'
}

@test "copy: modes are kept, owners are root" {
    tree
    run listing 'COPY one.txt two.txt dir /d/'
    expect_status 0
    expect_line '-rw------- 0/0 4 d/one.txt'
    expect_line '-rwxr-xr-x 0/0 4 d/two.txt'
    expect_line 'drwxr-xr-x 0/0 0 d/sub/'
}

@test "copy: --chown and --chmod" {
    tree
    run listing 'COPY --chown=7:8 --chmod=640 one.txt /d/' 'COPY --chown=9 two.txt /d/' \
        'COPY --chmod=u=rwX,go= dir /dir'
    expect_status 0
    expect_line '-rw-r----- 7/8 4 d/one.txt'
    expect_line '-rwxr-xr-x 9/9 4 d/two.txt'
    expect_line '-rw------- 0/0 3 dir/in.txt'
    expect_line 'drwx------ 0/0 0 dir/sub/'
}

@test "copy: a name for --chown is looked up in the image" {
    printf 'app:x:55:66::/:/bin/sh\n' >passwd && printf 'grp:x:77:\n' >group && echo 1 >f
    run listing 'COPY passwd group /etc/' 'COPY --chown=app f /a' 'COPY --chown=app:grp f /b'
    expect_status 0
    expect_line '-rw-r--r-- 55/66 2 a'
    expect_line '-rw-r--r-- 55/77 2 b'
    run listing 'COPY passwd group /etc/' 'COPY --chown=nobody-there f /a'
    expect_status 0
    expect_line '-rw-r--r-- 0/0 2 a'
    printf 'FROM scratch\nCOPY passwd group /etc/\nCOPY --chown=nobody-there f /a\n' >Dockerfile
    build --no-cache .
    expect_output 'unable to find user nobody-there: no matching entries in passwd file: the owner is 0:0'
    { echo FROM scratch && echo COPY --chown=nobody-there f /a; } >Dockerfile
    build_fails .
    expect_output 'invalid user index: -1: there is no base to look "nobody-there" up in: use a number'
}

@test "copy: --from takes from a stage by name and by number" {
    tree
    printf 'FROM scratch AS first\nCOPY dir /d\nFROM scratch\nCOPY --from=first /d/in.txt /n\nCOPY --from=0 /d/sub /s\n' >Dockerfile
    build_ok -o "type=local,dest=$T/out" .
    expect_file "$T/out/n" in
    expect_file "$T/out/s/deep.txt" deep
}

@test "copy: over what is there: files replaced, folders merged, a folder never by a file" {
    tree
    run listing 'COPY dir /d' 'COPY other /d' 'COPY one.txt /d/in.txt'
    expect_status 0
    expect_line '-rw------- 0/0 4 d/in.txt'
    expect_line '-rw-r--r-- 0/0 2 d/o'
    expect_line '-rw-r--r-- 0/0 5 d/sub/deep.txt'
    mkdir x && mkdir x/in.txt && touch x/in.txt/y
    { echo FROM scratch && echo COPY dir /d && echo COPY x /d; } >Dockerfile
    build_fails .
    expect_output in.txt
}

@test "copy: hard links, many files, odd names, times" {
    local i
    mkdir -p many && for i in $(seq 300); do echo "$i" >"many/f $i"; done
    touch -d @1111111111 'many/f 7' && printf x >$'many/new\nline' && printf x >many/ümläut
    printf 'FROM scratch\nCOPY many /m\n' >Dockerfile
    build_ok -o "type=tar,dest=$T/o.tar" .
    mkdir "$T/x" && tar -C "$T/x" -xf "$T/o.tar"
    expect_equal "$(find "$T/x/m" -type f -printf . | wc -c)" 302 files
    expect_equal "$(stat -c %Y "$T/x/m/f 7")" 1111111111 mtime
}

@test "copy: what leads out of the context is not followed" {
    echo canary >"$T/canary"
    ln -s "$T/canary" absolute && ln -s ../canary relative && mkdir d && ln -s ../../ d/up && ln -s / root
    local source failed=0
    for source in ../canary absolute/../../canary d/up/canary "root$T/canary" /../canary ../../../../../../etc/passwd; do
        printf 'FROM scratch\nCOPY %s /got\n' "$source" >Dockerfile
        rm -rf "$T/out"
        build -o "type=local,dest=$T/out" .
        if grep -rqs canary "$T/out" || grep -rqs root: "$T/out"; then
            echo "COPY $source brought what lies outside" >&2
            failed=1
        fi
        if [ "$status" -eq 0 ]; then
            echo "COPY $source succeeded" >&2
            failed=1
        elif [[ $output != *'not found'* ]]; then
            printf 'COPY %s: wanted: not found; got:\n%s\n' "$source" "$output" >&2
            failed=1
        fi
    done
    for source in absolute relative; do
        printf 'FROM scratch\nCOPY %s /got\n' "$source" >Dockerfile
        rm -rf "$T/out"
        build -o "type=local,dest=$T/out" .
        if grep -rqs canary "$T/out/got"; then
            [ -L "$T/out/got" ] || { echo "COPY $source followed the link" >&2 && failed=1; }
        fi
    done
    [ "$failed" -eq 0 ]
}

@test "copy: a link within the context is copied as docker build does" {
    mkdir d && echo in >d/f && ln -s d/f to-file && ln -s d to-dir
    printf 'FROM scratch\nCOPY to-file /a\nCOPY to-dir/ /b/\nCOPY . /all\n' >Dockerfile
    build_ok -o "type=local,dest=$T/out" .
    expect_file "$T/out/a" in
    [ ! -L "$T/out/a" ]
    expect_file "$T/out/b/f" in
    [ -L "$T/out/all/to-file" ]
}

@test "copy: a pipe of the context is one, a socket becomes an empty file" {
    mkfifo -m 640 p
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("s")'
    run env T="$T" timeout 20 bash -c "$(declare -f listing); listing 'COPY . /'"
    expect_status 0
    expect_line 'prw-r----- 0/0 0 p'
    expect_line '-rwxr-xr-x 0/0 0 s'
}

@test "add: archives of every compression are unpacked, by content, files are not" {
    need_program xz bzip2 gzip
    local kind failed=0
    mkdir in && echo inside >in/f && ln -s f in/l
    tar -cf a.tar in && tar -czf a.gz in && tar -cjf a.bz2 in && tar -cJf a.xz in && mv a.xz renamed.bin
    for kind in a.tar a.gz a.bz2 renamed.bin; do
        printf 'FROM scratch\nADD %s /x/\n' "$kind" >Dockerfile
        rm -rf "$T/out"
        build -o "type=local,dest=$T/out" .
        [ "$(cat "$T/out/x/in/f" 2>/dev/null)" = inside ] || {
            printf '%s was not unpacked:\n%s\n' "$kind" "$output" >&2
            failed=1
        }
    done
    printf 'FROM scratch\nADD in/f /x/\nCOPY a.tar /x/\n' >Dockerfile
    rm -rf "$T/out"
    build_ok -o "type=local,dest=$T/out" .
    expect_file "$T/out/x/f" inside
    [ -f "$T/out/x/a.tar" ]
    [ "$failed" -eq 0 ]
}

@test "add: owners, modes, times, links of an archive are kept" {
    need_program python3
    python3 - <<'END'
import io, tarfile
with tarfile.open("a.tar", "w") as tar:
    def add(name, kind=tarfile.REGTYPE, link="", mode=0o644, data=b""):
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode, info.size = kind, link, mode, len(data)
        info.uid, info.gid, info.mtime = 12, 34, 1000000000
        tar.addfile(info, io.BytesIO(data))
    add("d", tarfile.DIRTYPE, mode=0o2770)
    add("d/setuid", mode=0o4755, data=b"x")
    add("d/hard", tarfile.LNKTYPE, "d/setuid")
    add("d/soft", tarfile.SYMTYPE, "/etc/passwd")
    add("d/pipe", tarfile.FIFOTYPE)
    add("implied/parents/f", data=b"y")
END
    run listing 'ADD a.tar /'
    expect_status 0
    expect_line 'drwxrws--- 12/34 0 d/'
    expect_line '(-|h)rwsr-xr-x 12/34 [01] d/setuid.*'
    expect_line 'lrwxrwxrwx 12/34 0 d/soft -> /etc/passwd'
    expect_line 'prw-r--r-- 12/34 0 d/pipe'
    expect_line '-rw-r--r-- 12/34 1 implied/parents/f'
    tar -tvf "$T/out.tar" | grep -qE 'd/(hard|setuid) link to d/(setuid|hard)'
}

@test "copy: --link does not look at what is below, and outlives a new base" {
    tree
    ln dir/in.txt dir/hard && chmod 4755 two.txt
    write() {
        dockerfile <<EOF
FROM scratch AS base
COPY other/o $1
COPY --chmod=700 dir/sub /d
FROM base
COPY --link dir /d
COPY --link --chown=7:8 two.txt /d/sub/
EOF
    }
    write /below
    "$COB" build --progress=plain -o "type=tar,dest=$T/out.tar" . 2>log
    grep -q '\[stage-1 1/2\] LINK COPY --link dir /d' log
    tar --numeric-owner -tvf "$T/out.tar" | awk '{ print $1, $2, $6, $7, $8, $9 }' >before
    grep -q '^drwxr-xr-x 0/0 d/' before # not the mode below
    grep -q '^-rwsr-xr-x 7/8 d/sub/two.txt' before
    grep -qE '^h.* d/(in.txt|hard) link to d/(in.txt|hard)' before
    grep -q ' below' before

    write /other
    "$COB" build --progress=plain -o "type=tar,dest=$T/new.tar" . 2>log
    vertex() { grep -A1 -F "$1" log | tail -n 1 | cut -d' ' -f2; }
    [ "$(vertex '[stage-1 1/2] COPY --link dir /d')" = CACHED ]
    [ "$(vertex '[stage-1 2/2] COPY --link')" = CACHED ]
    [ "$(vertex '[base 1/2] COPY other/o /other')" = DONE ]
    tar --numeric-owner -tvf "$T/new.tar" | awk '{ print $1, $2, $6, $7, $8, $9 }' |
        sed 's/ other\b/ below/' | LC_ALL=C sort | cmp - <(LC_ALL=C sort before)
}

@test "copy: the root of a stage without files is an empty folder" {
    local source
    for source in / . ./ /.; do
        printf 'FROM scratch AS nothing\nFROM scratch\nCOPY --from=nothing %s /x/\n' "$source" >Dockerfile
        build_ok -o "type=tar,dest=$T/out.tar" .
        expect_equal "$(tar tf "$T/out.tar")" x/ "COPY $source"
    done
    printf 'FROM scratch AS nothing\nFROM scratch\nCOPY --from=nothing x /x/\n' >Dockerfile
    build_fails .
    expect_output '"/x": not found'
}
