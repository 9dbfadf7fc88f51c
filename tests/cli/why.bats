#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cob build --explain and cob why: each reason, in its words, as a user meets it.

load ../lib/cob
setup() { cob_setup; }
teardown() { cob_teardown; }

# explain ARGUMENT...: build here; the steps and their reasons are $output, a line each, without the
# numbers before them.
explain() {
    build_ok --explain "$@" .
    reasons=$(sed -n 's/^#[0-9]* why: //p' <<<"$output")
}

# expect_reasons REASON...: these, in this order, and no other.
expect_reasons() {
    local want
    want=$(printf '%s\n' "$@")
    expect_equal "$reasons" "$want" reasons
}

# A stage of files alone, so that nothing has to run.
copy_all() {
    dockerfile <<'END'
FROM scratch
COPY . /app/
END
    echo '*file' >.dockerignore
    mkdir -p src
    echo 1 >main.go
    echo x >src/x
}

# sql STATEMENT...: in the store's database.
sql() {
    as_store_owner python3 -c '
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db:
    for statement in sys.argv[2:]:
        db.execute(statement)' "$COB_ROOT/cob.db" "$@"
}

@test "files: each kind of change has its words" {
    local row name script want failed=0
    copy_all
    explain
    expect_reasons 'never built here'
    while IFS='|' read -r name script want; do
        eval "$script"
        explain
        if [ "$reasons" != "$(printf '%b' "$want")" ]; then
            printf '%s: got:\n%s\nwanted:\n%b\n' "$name" "$reasons" "$want" >&2
            failed=1
        fi
    done <<'END'
a file|echo 2 >main.go|main.go changed
files in a folder|touch src/a src/b src/c|3 files added under src/: a, b, c
one file|touch src/d|src/d added
a folder with a file|mkdir src/new && touch src/new/e|src/new/e added
an empty folder|mkdir empty|empty added
removed|rm src/a src/b|2 files removed under src/: a, b
one removed|rm src/c|src/c removed
mode|chmod 755 main.go|mode of main.go changed 0644 → 0755
modes|chmod 600 src/x src/d|modes of 2 files changed under src/: d, x
more than a line holds|for i in 10 11 12 13 14 15 16; do touch src/f$i; done|7 files added under src/: f10, f11, f12, f13, f14, and 2 more
several|echo 3 >main.go; echo y >src/x; rm src/d|2 files changed: main.go, src/x\nsrc/d removed
a link instead of a file|rm main.go && ln -s src/x main.go|main.go changed
another target|ln -sfn src/f10 main.go|main.go changed
no common folder|touch one two|2 files added: one, two
END
    [ "$failed" -eq 0 ]
    explain
    expect_equal "$reasons" '' 'reasons of a build with nothing changed'
}

@test "files: an owner that changed, in another stage" {
    busybox_image
    dockerfile <<'END'
FROM busybox AS make
ARG OWNER=0
RUN echo x >/file && chown $OWNER:$OWNER /file
FROM scratch
COPY --from=make /file /file
END
    explain
    explain --build-arg OWNER=7
    expect_reasons 'ARG OWNER 0 → 7' 'owner of file changed 0:0 → 7:7'
}

@test "arguments and variables: old and new, and of secrets neither" {
    busybox_image
    dockerfile <<'END'
FROM busybox
ARG VERSION=1
ARG API_TOKEN=first-secret
ARG EMPTY
RUN true
ENV MODE=fast
RUN echo $MODE
END
    explain
    explain --build-arg VERSION=2
    expect_equal "$(head -n 1 <<<"$reasons")" 'ARG VERSION 1 → 2'
    explain --build-arg VERSION=2 --build-arg API_TOKEN=second-secret
    expect_equal "$(head -n 1 <<<"$reasons")" 'ARG API_TOKEN changed'
    refuse_output first-secret second-secret
    sed -i 's/MODE=fast/MODE=slow/' Dockerfile
    explain --build-arg VERSION=2 --build-arg API_TOKEN=second-secret
    expect_reasons 'ENV MODE fast → slow'
    explain --build-arg VERSION=2 --build-arg API_TOKEN=second-secret --build-arg EMPTY=x
    expect_equal "$(head -n 1 <<<"$reasons")" 'ARG EMPTY added: x'
    sed -i '/^ARG EMPTY/d' Dockerfile
    sed -i 's/^ENV MODE=slow/ENV MODE=slow MORE=1/' Dockerfile
    explain --build-arg VERSION=2 --build-arg API_TOKEN=second-secret
    expect_reasons 'ENV MORE added: 1'
    [ -z "$(grep_store second-secret | grep history)" ] || fail "the history has a secret"
}

@test "arguments: one that an instruction names only in its words" {
    dockerfile <<'END'
FROM scratch
ARG NAME=a
COPY $NAME /file
END
    echo same >a
    echo other >b
    explain
    explain --build-arg NAME=b
    expect_equal "$(head -n 1 <<<"$reasons")" 'ARG NAME a → b'
}

@test "base image: it moved, or it is another one" {
    busybox_image base:1
    busybox_image base:2
    printf 'FROM base:1\nRUN true\n' >Dockerfile
    explain
    printf 'FROM busybox-more\nLABEL a=b\n' >more.Dockerfile
    busybox_image busybox-more
    build_ok -f more.Dockerfile -t base:1 .
    explain
    expect_line '.*base image base:1 moved [0-9a-f]{12}… → [0-9a-f]{12}…'
    printf 'FROM base:2\nRUN true\n' >Dockerfile
    explain
    expect_output 'base image base:1 → base:2'
}

@test "the instruction's text, a new instruction, an earlier step" {
    busybox_image
    dockerfile <<'END'
FROM busybox
RUN echo one
RUN echo two
END
    explain
    expect_reasons 'never built here' 'never built here' 'never built here'
    sed -i 's/echo one/echo first/' Dockerfile
    explain
    expect_line "#[0-9]+ why: the instruction's text changed: RUN echo one → RUN echo first"
    local number
    number=$(sed -n 's/^#\([0-9]*\) \[2\/3\].*/\1/p' <<<"$output")
    expect_line "#[0-9]+ why: an earlier step ran: #$number"
    sed -i '/RUN echo first/i RUN echo zero' Dockerfile
    explain
    expect_reasons 'never built here' "an earlier step ran: #$number" "an earlier step ran: #$((number + 1))"
}

@test "forced, failed, lost, evicted" {
    busybox_image
    dockerfile <<'END'
FROM busybox AS base
RUN echo base
FROM base AS last
RUN echo last
END
    explain
    explain --no-cache
    expect_reasons '--no-cache asked for it' '--no-cache asked for it'
    explain --no-cache-filter=last
    expect_reasons '--no-cache-filter=last asked for it'

    sql "INSERT INTO evictions(key, description, rule, at_us) SELECT key, description,
        'keep 2 days', (strftime('%s', 'now') - 2 * 86400 - 60) * 1000000 FROM cache
        WHERE description LIKE '%echo last%'" "DELETE FROM cache WHERE description LIKE '%echo last%'"
    explain
    expect_reasons 'evicted 2 days ago by the rule keep 2 days'
    sql "DELETE FROM cache WHERE description LIKE '%echo last%'"
    explain
    expect_reasons 'its result is no longer in the store'

    run "$COB" prune --all --force
    expect_status 0
    explain
    expect_output 'why: evicted ' 'ago by the rule prune'

    sed -i 's/echo last/test -e here/' Dockerfile
    build_fails --explain .
    build_fails --explain .
    expect_output 'why: it failed the last time'
}

@test "mounts, network, platform and user" {
    need_root
    busybox_image
    printf 'FROM busybox\nRUN echo x\n' >Dockerfile
    explain
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c echo x\n' >Dockerfile
    explain
    expect_reasons 'mount type=cache,target=/c added'
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c,id=other,sharing=locked echo x\n' >Dockerfile
    explain
    expect_equal "$reasons" '' "reasons: neither a cache mount's id nor its sharing is one"
    printf 'FROM busybox\nRUN --mount=type=tmpfs,target=/c echo x\n' >Dockerfile
    explain
    expect_reasons 'mount changed: type=cache,target=/c → type=tmpfs,target=/c'
    printf 'FROM busybox\nRUN echo x\n' >Dockerfile
    explain --network=none
    expect_reasons 'network default → none'
    printf 'FROM busybox\nUSER 7\nRUN echo x\n' >Dockerfile
    explain
    expect_reasons 'user added: 7'
}

@test "a cache that could not be imported" {
    copy_all
    explain --cache-from "type=local,src=$T/nothing"
    expect_reasons "never built here, and the cache local:$T/nothing could not be read"
}

@test "a secret is never a reason" {
    busybox_image
    printf 'FROM busybox\nRUN --mount=type=secret,id=s wc -c /run/secrets/s\n' >Dockerfile
    echo one >"$T/secret"
    explain --secret "id=s,src=$T/secret"
    echo another >"$T/secret"
    explain --secret "id=s,src=$T/secret"
    expect_equal "$reasons" '' reasons
}

@test "parallel stages: each reason stands under its own step" {
    busybox_image
    dockerfile <<'END'
FROM busybox AS one
COPY one /
RUN sleep 0.2; cat /one
FROM busybox AS two
COPY two /
RUN sleep 0.2; cat /two
FROM scratch
COPY --from=one /one /
COPY --from=two /two /
END
    echo 1 >one
    echo 1 >two
    explain
    echo 2 >one
    echo 2 >two
    explain
    local stage number copy
    for stage in one two; do
        copy=$(sed -n "s/^#\([0-9]*\) \[$stage 2\/3\].*/\1/p" <<<"$output" | head -n 1)
        number=$(sed -n "s/^#\([0-9]*\) \[$stage 3\/3\].*/\1/p" <<<"$output" | head -n 1)
        expect_line "#$copy why: $stage changed"
        expect_line "#$number why: an earlier step ran: #$copy"
    done
}

@test "tty has a summary, rawjson a mark, and without --explain nobody is told" {
    need_program script
    copy_all
    build_ok .
    refuse_output 'why:'
    echo 2 >main.go
    run script -qec "$COB build --explain --progress=tty ." /dev/null
    expect_output 'Why steps ran:' 'main.go changed'
    echo 3 >main.go
    run "$COB" build --explain --progress=rawjson .
    expect_status 0
    run jq -r 'select(.warnings) | .warnings[] | select(.reason) | .short | @base64d' <<<"$output"
    expect_exact 'why: main.go changed'
}

@test "cob why: the last build here, by offset, by id, one step" {
    local first id
    copy_all
    build_ok .
    echo 2 >main.go
    build_ok .
    run "$COB" why
    expect_status 0
    expect_output 'of ctx' '1 step ran' 'main.go changed'
    run "$COB" why '^1'
    expect_output 'never built here'
    run "$COB" why COPY
    expect_output 'main.go changed'
    refuse_output 'of ctx'
    first=$(sed -n 's/^#\([0-9]*\) .*COPY.*/\1/p' <<<"$output")
    run "$COB" why "#$first"
    expect_output 'COPY . /app/' 'main.go changed'
    run "$COB" why '^1' "$first"
    expect_output 'never built here'
    id=$("$COB" history ls --format '{{.Ref}}' | tail -n 1)
    run "$COB" why "${id:0:8}"
    expect_output "Build $id" 'never built here'
    run "$COB" why --format json
    expect_equal "$(jq -r '.Steps[0].Reasons[0]' <<<"$output")" 'main.go changed'
    run "$COB" why --format '{{.Name}}: {{.Reasons}}'
    expect_exact '[1/1] COPY . /app/: main.go changed'
    build_ok .
    run "$COB" why
    expect_output 'nothing had to run'
    run "$COB" why nothing-like-it
    expect_status 1
    expect_output 'has no step nothing-like-it'

    mkdir "$T/elsewhere" && cd "$T/elsewhere"
    run "$COB" why
    expect_output 'of ctx'
}

@test "a name of a file cannot reach the terminal" {
    copy_all
    build_ok .
    printf x >"$(printf 'a\033]0;b')"
    explain
    refuse_output "$(printf '\033')"
    expect_output 'a\x1b]0;b added'
    run "$COB" why
    refuse_output "$(printf '\033')"
}
