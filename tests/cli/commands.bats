#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The command line: help, version, unknown words, exit codes, and the commands on the store.

load ../lib/cob
setup() { cob_setup; }
teardown() { cob_teardown; }

@test "cli: no command and --help show the commands" {
    local words
    for words in '' --help -h help; do
        # shellcheck disable=SC2086
        run "$COB" $words
        expect_status 0
        expect_output 'Usage:  cob [OPTIONS] COMMAND' build pull run images rmi du version
    done
}

@test "cli: each command's --help names its flags" {
    run "$COB" build --help
    expect_status 0
    expect_output --build-arg --label --target --secret --file --output --no-cache --progress --tag
    run "$COB" run --help
    expect_status 0
    expect_output --interactive --tty --volume --env --workdir --user --rm
}

@test "cli: version says what cob is and stands on" {
    run "$COB" version
    expect_status 0
    expect_line ' Version: +[0-9]+\.[0-9]+\.[0-9]+'
    expect_line ' Runtime: +.*(crun|runc).*'
    run "$COB" --version
    expect_status 0
}

@test "cli: an unknown flag, command or number of arguments exits with 1" {
    run "$COB" build --no-such-flag .
    expect_status 1
    expect_output 'unknown flag: --no-such-flag'
    run "$COB" build --build-args A=1 .
    expect_status 1
    expect_output 'unknown flag: --build-args (did you mean --build-arg?)'
    run "$COB" build -Z .
    expect_status 1
    expect_output "unknown shorthand flag: 'Z'"
    run "$COB" biuld
    expect_status 1
    expect_output 'unknown command: biuld (did you mean build?)'
    run "$COB" build
    expect_status 1
    expect_output 'requires exactly 1 argument'
    run "$COB" build --tag
    expect_status 1
    expect_output 'flag needs an argument: --tag'
}

@test "cli: flags of docker build that are not there yet say so" {
    local flag
    for flag in --push --policy=x --builder=x; do
        run "$COB" build "$flag" .
        expect_status 1
        expect_output "${flag%%=*} is not carried out yet"
    done
}

@test "cli: a wrong --progress is an error that lists the right ones" {
    printf 'FROM scratch\n' >Dockerfile
    run "$COB" build --progress=fancy .
    expect_status 1
    expect_output fancy plain quiet tty
}

@test "images: lists what was built, rmi takes it away" {
    run "$COB" images
    expect_status 0
    expect_line 'REPOSITORY +TAG +IMAGE ID +CREATED +SIZE'
    expect_equal "${#lines[@]}" 1 'lines of an empty list'
    echo hello >f
    printf 'FROM scratch\nCOPY f /\n' >Dockerfile
    build_ok -t one -t other.example/two:v3 .
    run "$COB" images
    expect_line 'one +latest +[0-9a-f]{12} +.*'
    expect_line 'other.example/two +v3 +[0-9a-f]{12} +.*'
    run "$COB" rmi one
    expect_status 0
    expect_equal "$output" 'Untagged: one:latest'
    run "$COB" images
    refuse_output 'one '
    expect_line 'other.example/two +v3 +.*'
    run "$COB" rmi one
    expect_status 1
    expect_output 'no such image: one'
    run "$COB" rmi --force one
    expect_status 0
}

@test "images: an image is found by its id" {
    local id
    echo hello >f
    printf 'FROM scratch\nCOPY f /\n' >Dockerfile
    build_ok -t byid .
    id=$("$COB" images -q)
    run "$COB" rmi "$id"
    expect_status 0
    run "$COB" images -q
    expect_equal "$output" ''
}

@test "images: an image that lost its name is <none>, and rmi takes it by its id" {
    local first
    for text in 1 2; do
        echo "$text" >f
        printf 'FROM scratch\nCOPY f /\n' >Dockerfile
        build_ok -t same .
        [ "$text" = 2 ] || first=$("$COB" images -q)
    done
    run "$COB" images
    expect_line "<none> +<none> +$first +.*"
    expect_line 'same +latest +.*'
    run "$COB" rmi "$first"
    expect_status 0
    expect_line "Deleted: sha256:$first[0-9a-f]{52}"
    run "$COB" images
    refuse_output '<none>'
    expect_line 'same +latest +.*'
}

@test "rmi: an id with several names is an error without --force" {
    local id
    echo hello >f
    printf 'FROM scratch\nCOPY f /\n' >Dockerfile
    build_ok -t one -t two:v2 .
    id=$("$COB" images -q --no-trunc one)
    run "$COB" rmi "$id"
    expect_status 1
    expect_output 'has 2 names' 'with --force'
    run "$COB" rmi "${id#sha256:}" --force
    expect_status 0
    expect_line 'Untagged: one:latest'
    expect_line 'Untagged: two:v2'
    run "$COB" rmi "$id"
    expect_status 1
    expect_output "no such image: $id"
}

@test "du: a cache mount is a record of its own" {
    busybox_image
    printf 'FROM busybox\nRUN --mount=type=cache,id=go-mod,target=/c head -c 2000000 /dev/urandom >/c/f\n' >Dockerfile
    build_ok .
    run "$COB" du
    expect_line '[0-9a-f]{12}-0\* +true +2(\.[0-9]+)?MB +.*'
    run "$COB" du --verbose
    expect_line 'Type: +regular'
    expect_line 'Type: +exec.cachemount'
    expect_line 'Description: +cached mount .*with id "go-mod"'
    expect_line 'Mutable: +true'
}

@test "du: a build that finds everything done counts as one use of each layer" {
    echo hello >f
    printf 'FROM scratch\nCOPY f /a\nCOPY f /b\n' >Dockerfile
    build_ok -t x .
    build_ok -t x .
    build_ok -t x .
    run "$COB" du --verbose
    expect_equal "$(grep -c '^Usage count: *2$' <<<"$output")" 2 'layers that were used twice'
}

@test "run: a step and a container get 1024 open files, however many cob may have" {
    busybox_image
    printf 'FROM busybox\nRUN echo "soft $(ulimit -Sn)"\n' >Dockerfile
    (ulimit -Sn 256 && "$COB" build --progress=plain . 2>&1) >"$T/log"
    run cat "$T/log"
    expect_output 'soft 1024'
}

@test "a database that was damaged is told of, and the build goes on" {
    printf 'FROM scratch\nLABEL a=b\n' >Dockerfile
    build_ok -t x .
    for file in "$COB_ROOT"/cob.db*; do
        as_store_owner sh -c 'echo noise >"$1"' sh "$file"
    done
    build_ok -t x .
    expect_output 'WARNING: the database of the store' 'is now cob.db.corrupt-'
    build_ok -t x .
    refuse_output WARNING
}

@test "du: says what is there, and sums it up" {
    head -c 3000000 /dev/urandom >big
    printf 'FROM scratch\nCOPY big /\n' >Dockerfile
    build_ok -t big .
    run "$COB" du
    expect_status 0
    expect_line 'ID +RECLAIMABLE +SIZE +LAST ACCESSED'
    expect_line '.* 3(\.[0-9]+)?MB.*'
    expect_line 'cob.db\* +false +[0-9.]+[kM]B .*'
    expect_line 'Total: +[0-9.]+MB'
    run "$COB" du --verbose
    expect_status 0
    expect_output 'Usage count' 'Created at'
}

# bytes_of TEXT: of a size as cob shows it, "1.2kB".
bytes_of() {
    awk -v text="$1" 'BEGIN {
        factor["B"] = 1; factor["kB"] = 1e3; factor["MB"] = 1e6; factor["GB"] = 1e9
        unit = text; sub(/^[0-9.]+/, "", unit); sub(/\*$/, "", unit)
        printf "%.0f\n", (text + 0) * factor[unit]
    }'
}

# near GOT WANTED WHAT: within 5 %.
near() {
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > 0.95 * b && a < 1.05 * b) }' ||
        fail "$3: got $1, wanted $2 within 5 %"
}

# du_total [COLUMN-2]: the sum of the rows, or of those whose second column it is.
du_sum() {
    local sum=0 size
    for size in $(awk -v want="${1:-}" '$2 == "true" || $2 == "false" { if (!want || $2 == want) print $3 }' <<<"$output"); do
        sum=$((sum + $(bytes_of "$size")))
    done
    echo "$sum"
}

@test "du: rows and sums are what the file system says, within 5 %" {
    local name on_disk
    busybox_image
    head -c 3000000 /dev/urandom >big
    head -c 40000000 /dev/zero >zeros
    for name in $(seq 200); do echo "$name" >"small$name"; done
    printf '%s\n' 'FROM busybox' 'COPY . /c' 'RUN ln /c/big /c/hard && rm /c/zeros' \
        'RUN --mount=type=cache,id=du,target=/k head -c 5000000 /dev/urandom >/k/f' >Dockerfile
    build_ok -t du -o type=oci,dest="$T/du.tar" .
    printf 'FROM busybox\nRUN head -c 2000000 /dev/urandom >/f\n' >Dockerfile
    build_ok -t gone .
    "$COB" rmi gone
    on_disk=$(as_store_owner du -sxB1 "$COB_ROOT" | cut -f 1)
    run "$COB" du
    expect_status 0
    near "$(du_sum)" "$on_disk" 'all rows'
    near "$(bytes_of "$(awk '$1 == "Total:" { print $2 }' <<<"$output")")" "$on_disk" Total
    near "$(bytes_of "$(awk '$1 == "Reclaimable:" { print $2 }' <<<"$output")")" "$(du_sum true)" Reclaimable
    near "$(bytes_of "$(awk '$1 == "Shared:" { print $2 }' <<<"$output")")" \
        "$(bytes_of "$(awk '$3 ~ /\*$/ { print $3 }' <<<"$output")")" Shared
    run "$COB" du --verbose
    expect_line 'Description: +config of docker.io/library/du:latest'
    expect_line 'Description: +archive of layer sha256:[0-9a-f]{64}'
}

@test "images: --format takes a template or json, as docker's scripts do" {
    printf 'FROM scratch\nLABEL a=b\n' >Dockerfile
    build_ok -t one:v1 .
    run "$COB" images --format '{{.Repository}}:{{ .Tag }}\t{{.Size}}'
    expect_exact $'one:v1\t0B'
    run "$COB" images --format json
    expect_equal "$(jq -r '.Repository + " " + .Tag + " " + .ID' <<<"$output")" "one v1 $("$COB" images -q)"
    run "$COB" images --format '{{json .}}'
    expect_equal "$(jq -r .Tag <<<"$output")" v1
    run "$COB" images --format table
    expect_line 'REPOSITORY +TAG +IMAGE ID +CREATED +SIZE'
    run "$COB" images --format '{{.Name}}'
    expect_status 1
    expect_output 'ERROR: --format: no field .Name; there are ' 'Repository, '
    run "$COB" images --format '{{range .}}'
    expect_status 1
    expect_output 'ERROR: --format: {{range .}}: there are {{.FIELD}}, {{json .FIELD}} and {{json .}}'
    run "$COB" images --format '{{.Tag'
    expect_status 1
    expect_output 'ERROR: --format: no }} behind {{.Tag'
}

@test "images: an image that has a name is not listed without one, but with --all" {
    printf 'FROM scratch\nLABEL a=b\n' >Dockerfile
    build_ok -t one .
    build_ok .
    run "$COB" images
    refuse_output '<none>'
    expect_line 'one +latest +.*'
    run "$COB" images -a
    expect_line '<none> +<none> +.*'
}

@test "rmi: names that are none or unknown, one beside a good one" {
    printf 'FROM scratch\nLABEL a=b\n' >Dockerfile
    build_ok -t one .
    run "$COB" rmi 'BAD name'
    expect_status 1
    expect_exact 'ERROR: no such image: BAD name'
    run "$COB" rmi one nosuch
    expect_status 1
    expect_output 'Untagged: one:latest' 'ERROR: no such image: nosuch'
}

@test "run: what cob cannot do is 125, a program that cannot run 126, none 127" {
    busybox_image
    run "$COB" run --no-such-flag busybox
    expect_status 125
    run "$COB" run
    expect_status 125
    run "$COB" run --quiet localhost:1/missing:v9
    expect_status 125
    run "$COB" run -v /no/such/folder:/m busybox
    expect_status 125
    expect_output 'ERROR: volume /no/such/folder:/m: open /no/such/folder: No such file or directory'
    run "$COB" run --rm busybox /etc
    expect_status 126
    expect_output 'ERROR: exec: "/etc": permission denied'
    run -127 "$COB" run --rm busybox no-such-program
    run "$COB" run --rm busybox sh -c 'exit 3'
    expect_status 3
}

@test "pull: a name that is none is an error before any network" {
    run "$COB" pull 'Not A Name'
    expect_status 1
    expect_output 'Not A Name'
    run "$COB" pull 'x@sha256:12'
    expect_status 1
}

@test "run: an image that is not there is an error that names it" {
    run "$COB" run --rm localhost:1/missing:v9
    [ "$status" -ne 0 ]
    expect_output missing:v9
}

@test "completions and the man page come from the same tables" {
    run "$COB" completion bash
    expect_status 0
    expect_output cob build-arg
    bash -n <<<"$output"
    run "$COB" debug man
    expect_status 0
    expect_output .TH 'build\-arg'
}
