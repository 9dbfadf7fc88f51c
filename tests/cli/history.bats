#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cob history: what is kept of builds, and how it is shown.

load ../lib/cob
setup() { cob_setup; }
teardown() { cob_teardown; }

simple_build() {
    printf 'FROM scratch\nCOPY file /\n' >Dockerfile
    echo "${1:-1}" >file
    build_ok .
}

# history ARGUMENT...
history() {
    run "$COB" history "$@"
}

# newest: the id of the last build.
newest() {
    "$COB" history ls --format '{{.Ref}}' | head -n 1
}

@test "ls: columns, an empty list, templates, JSON" {
    history ls
    expect_status 0
    expect_line 'BUILD ID +NAME +STATUS +CREATED AT +DURATION *'
    simple_build
    history ls
    expect_line '[a-z2-7]{25} +ctx +Completed +Less than a second ago +[0-9.]+s'
    history ls --format '{{.Name}}\t{{.Status}}'
    expect_exact $'ctx\tCompleted'
    run jq -r '[.name, .status, .total_steps, .completed_steps, .cached_steps] | join(" ")' \
        <<<"$("$COB" history ls --format json)"
    expect_exact 'ctx Completed 5 5 0'
    history ls --format '{{.Nothing}}'
    expect_status 1
    history ls --format 'table {{.Name}}\t{{.Status}}'
    expect_line 'NAME +STATUS *'
    expect_line 'ctx +Completed *'
}

@test "ls: the newest first, names cut in front, filters" {
    simple_build 1
    build_ok --target=0 -f Dockerfile .
    printf 'FROM scratch\nCOPY nothing /\n' >bad.Dockerfile
    build_fails -f bad.Dockerfile .
    history ls --format '{{.Name}} {{.Status}}'
    expect_exact $'ctx/bad.Dockerfile Error\nctx (0) Completed\nctx Completed'
    history ls --filter status=error --format '{{.Name}}'
    expect_exact 'ctx/bad.Dockerfile'
    history ls --filter status!=error --filter "ref=$(newest)" --format '{{.Name}}'
    expect_exact ''
    history ls --filter 'startedAt>=1h' --filter 'duration<1h' --format x
    expect_exact $'x\nx\nx'
    history ls --filter 'startedAt<1h' --format x
    expect_exact ''
    local bad
    for bad in status=broken 'duration=1s' 'duration>soon' 'startedAt>yesterday' colour=red nothing 'ref<a'; do
        history ls --filter "$bad"
        expect_status 1
        expect_output '--filter:'
    done

    mkdir -p "$T/a-directory-with-a-name-that-is-longer-than-a-column"
    cd "$T"/a-directory-*
    simple_build
    history ls
    expect_line '[a-z2-7]{25} +\.\.[a-z-]{34} +Completed .*'
    history ls --no-trunc
    expect_output a-directory-with-a-name-that-is-longer-than-a-column
}

@test "ls: --local and the repository's name" {
    simple_build
    mkdir -p "$T/repo/.git" "$T/repo/part" && cd "$T/repo/part"
    printf '[core]\n\tbare = false\n[remote "origin"]\n\turl = https://example.com/a/b.git\n' >../.git/config
    simple_build
    history ls --local --format '{{.Name}}'
    expect_exact part
    cd ..
    history ls --local --format '{{.Name}}'
    expect_exact part
    history ls --filter repository=a/b --format '{{.Name}}'
    expect_exact part
    history inspect
    expect_line 'VCS Repository:	https://example.com/a/b.git'
}

@test "inspect: what was asked for, and what came of it" {
    printf 'FROM scratch AS part\nARG A\nARG TOKEN\nCOPY file /\n' >Dockerfile
    echo 1 >file
    build_ok --target=part --build-arg A=1 --build-arg TOKEN=hidden-value --label l=v \
        --build-context other=. --no-cache --add-host h:1.2.3.4 --shm-size 64m --ulimit nofile=5 .
    history inspect
    expect_status 0
    expect_line 'Name:	+ctx \(part\)'
    expect_line "Ref:	+$(newest)"
    expect_line "Context:	+$PWD"
    expect_line 'Dockerfile:	+Dockerfile'
    expect_line 'Target:	+part'
    expect_line 'Started:	+[0-9-]{10} [0-9:]{8}'
    expect_line 'Duration:	+[0-9.]+s'
    expect_line 'Build Steps:	[0-9]+/[0-9]+ \([0-9]+% cached\)'
    expect_line 'No Cache:	+true'
    expect_line 'Extra Hosts:	+h=1.2.3.4'
    expect_line 'A	+1'
    expect_line 'TOKEN	+\(not kept\)'
    expect_line 'l	+v'
    expect_line 'other	+\.'
    expect_line "Print build logs: cob history logs $(newest)"
    refuse_output hidden-value
    expect_equal "$(grep_store hidden-value | grep /history/)" ''
    expect_equal "$("$COB" history inspect --format '{{.Target}} {{.Status}}')" 'part completed'
    expect_equal "$("$COB" history inspect --format json | jq -c '[.BuildArgs, .Config.NoCache]')" \
        '[[{"Name":"A","Value":"1"},{"Name":"TOKEN"}],true]'
}

@test "inspect: a failure has its lines and the last of what was printed" {
    busybox_image
    dockerfile <<'END'
FROM busybox
RUN for i in $(seq 30); do echo line $i; done; printf '\033[31mred\n'; exit 7
END
    build_fails .
    history inspect
    expect_line 'Error:	+Unknown failed to solve: .*exit code: 7'
    expect_output 'Dockerfile:2' '>>> RUN for i'
    expect_line 'Logs:'
    expect_line '> => \[2/2\] RUN for i.*:'
    expect_line '> line 30'
    expect_line '> line 16'
    refuse_output $'\n> line 15\n' $'\033'
    run "$COB" history inspect --format json
    expect_equal "$(jq -r '.Status, (.Error.Logs | length)' <<<"$output" | xargs)" 'failed 16'
}

@test "logs: the same lines and numbers as the build had, and escaped" {
    busybox_image
    printf 'FROM busybox\nRUN echo hello; printf "\\033[31mred\\n"\n' >Dockerfile
    build_ok --explain .
    local number
    number=$(sed -n 's/^#\([0-9]*\) \[2\/2\].*/\1/p' <<<"$output")
    history logs
    expect_status 0
    expect_line "#$number \[2/2\] RUN echo hello.*"
    expect_line "#$number [0-9.]+ hello"
    expect_line "#$number why: never built here"
    expect_line "#$number DONE [0-9.]+s"
    refuse_output $'\033'
    history logs --progress rawjson "$(newest)"
    expect_equal "$(jq -r 'select(.logs) | .logs[].data | @base64d' <<<"$output" | head -n 1)" hello
    history logs '^7'
    expect_status 1
    history logs --progress=loud
    expect_status 1
}

@test "logs: a step that prints without end keeps 2 MiB" {
    busybox_image
    printf 'FROM busybox\nRUN yes 0123456789012345678901234567890123456789 | head -c 8000000\n' >Dockerfile
    build_ok --progress=quiet .
    history logs --progress rawjson
    expect_output "$(printf '\n[output clipped, log limit 2MiB reached]\n' | base64 -w0)"
    local size
    size=$(as_store_owner du -sb "$COB_ROOT/history" | cut -f 1)
    [ "$size" -lt 4000000 ] || fail "the history has $size bytes"
}

@test "rm: by id, beginning, offset, all" {
    simple_build 1
    simple_build 2
    simple_build 3
    simple_build 4
    history rm
    expect_status 1
    expect_output 'rm requires at least one argument'
    history rm --all x
    expect_status 1
    history rm nothing
    expect_status 1
    expect_output 'no record found for ref "nothing"'
    local ids
    mapfile -t ids < <("$COB" history ls --format '{{.Ref}}')
    history rm "default/default/${ids[0]}" '^2'
    expect_status 0
    history ls --format '{{.Ref}}'
    expect_exact "${ids[1]}"$'\n'"${ids[3]}"
    history rm "${ids[1]:0:9}"
    history rm --all
    expect_status 0
    history ls --format '{{.Ref}}'
    expect_exact ''
    history logs
    expect_status 1
    expect_output 'no records found'
}

@test "a build that runs is listed as such, and stays; a killed one is an error" {
    need_root
    busybox_image
    printf 'FROM busybox\nRUN echo began; sleep 60\n' >Dockerfile
    "$COB" history rm --all
    "$COB" build --progress=plain . >"$T/log" 2>&1 3>&- &
    local pid=$!
    wait_for 20 grep -q began "$T/log"
    history ls --format '{{.Status}} {{.Duration}}'
    expect_line 'Running [0-9.]+s\+'
    history inspect
    expect_line 'Duration:	+[0-9.]+s \(running\)'
    history logs
    expect_output began
    history rm --all
    expect_status 0
    history rm "$(newest)"
    expect_status 1
    expect_output runs
    history export -o "$T/x" "$(newest)"
    expect_status 1
    kill -9 "$pid"
    wait "$pid" || true
    history ls --format '{{.Status}}'
    expect_exact Error
    history inspect
    expect_line 'Error:	+Unknown the build was killed'
    history logs
    expect_output began
    simple_build
    history ls --format '{{.Status}}'
    expect_exact $'Completed\nError'
    history rm --all
    history ls --format '{{.Status}}'
    expect_exact ''
}

@test "a build that was stopped is canceled" {
    need_root
    busybox_image
    printf 'FROM busybox\nRUN echo began; sleep 60\n' >Dockerfile
    "$COB" build --progress=plain . >"$T/log" 2>&1 3>&- &
    local pid=$!
    wait_for 20 grep -q began "$T/log"
    kill -INT "$pid"
    wait "$pid" || true
    history ls --format '{{.Status}}' --filter status=canceled
    expect_exact Canceled
    history inspect
    expect_line 'Status:	+Canceled'
}

@test "builds at the same time each have their record" {
    local i
    printf 'FROM scratch\nCOPY file /\n' >Dockerfile
    echo 1 >file
    build_ok .
    for i in 1 2 3 4 5 6; do
        "$COB" build --quiet . >/dev/null 3>&- &
    done
    wait
    history ls --format '{{.Status}}'
    expect_exact "$(printf 'Completed\n%.0s' 1 2 3 4 5 6 7)"
}

@test "the history has an end: 200 builds, 30 days" {
    need_root
    simple_build
    local i record
    record=$(ls "$COB_ROOT/history")
    for i in $(seq 100 310); do
        cp "$COB_ROOT/history/$record" "$COB_ROOT/history/17000000000$i""00-${record:17:22}$i"
    done
    for i in $(seq 100 310); do
        mv "$COB_ROOT/history/17000000000$i""00-${record:17:22}$i" \
            "$COB_ROOT/history/$((${record:0:16} - i))-${record:17:22}$i"
    done
    cp "$COB_ROOT/history/$record" "$COB_ROOT/history/1700000000000000-${record:17}"
    simple_build
    expect_equal "$(ls "$COB_ROOT/history" | wc -l)" 200 'records'
    [ ! -e "$COB_ROOT/history/1700000000000000-${record:17}" ] || fail 'an old record stayed'
}

@test "the history has an end: what cob.toml says" {
    export COB_CONFIG=$T/config
    mkdir "$COB_CONFIG"
    printf '[history]\nmax-entries = 2\n' >"$COB_CONFIG/cob.toml"
    simple_build 1
    simple_build 2
    simple_build 3
    expect_equal "$("$COB" history ls --format x)" $'x\nx'
    printf '[history]\nmax-age = "0s"\n' >"$COB_CONFIG/cob.toml"
    simple_build 4
    expect_equal "$("$COB" history ls --format x)" ''
    printf '[history]\nmax-agge = "1h"\n' >"$COB_CONFIG/cob.toml"
    simple_build 5
    expect_output 'max-agge' 'did you mean max-age?'
    printf '[history]\nmax-entries = "many"\n' >"$COB_CONFIG/cob.toml"
    simple_build 6
    expect_output '[history] max-entries: expected a number from 0 to 100000'
}

@test "a damaged record is left out, and does no harm" {
    need_root
    simple_build
    local id
    id=$(newest)
    printf '{"begin": 5}\n' >"$COB_ROOT/history/1796000000000000-aaaaaaaaaaaaaaaaaaaaaaaaa"
    : >"$COB_ROOT/history/1796000000000001-aaaaaaaaaaaaaaaaaaaaaaaab"
    head -c 100 "$COB_ROOT"/history/*"$id" >"$COB_ROOT/history/1796000000000002-aaaaaaaaaaaaaaaaaaaaaaaac"
    mkdir "$COB_ROOT/history/1796000000000003-aaaaaaaaaaaaaaaaaaaaaaaad"
    ln -s /etc/passwd "$COB_ROOT/history/1796000000000004-aaaaaaaaaaaaaaaaaaaaaaaae"
    history ls --format '{{.Ref}}'
    expect_status 0
    expect_exact "$id"
    build_ok .
}

@test "export: a bundle as buildx makes it" {
    need_program jq
    busybox_image
    "$COB" history rm --all
    printf 'FROM busybox\nRUN echo hello-log\n' >Dockerfile
    build_ok --build-arg SOME=thing .
    history export -o "$T/one.dockerbuild"
    expect_status 0
    mkdir "$T/one" && tar -C "$T/one" -xzf "$T/one.dockerbuild"
    expect_file "$T/one/oci-layout" '{"imageLayoutVersion":"1.0.0"}'
    local manifest config logs
    manifest=$(jq -r '.manifests[0].digest' "$T/one/index.json")
    manifest=$T/one/blobs/${manifest/:/\/}
    expect_equal "$(jq -r .config.mediaType "$manifest")" application/vnd.buildkit.historyrecord.v0
    config=$(jq -r .config.digest "$manifest")
    logs=$(jq -r '.layers[0].digest' "$manifest")
    expect_equal "$(jq -r '.Ref, .FrontendAttrs["build-arg:SOME"], .logs.digest' \
        "$T/one/blobs/${config/:/\/}" | xargs)" "$(newest) thing $logs"
    grep -qa hello-log "$T/one/blobs/${logs/:/\/}"
    local blob
    for blob in "$T"/one/blobs/sha256/*; do
        expect_equal "$(sha256sum <"$blob" | cut -d ' ' -f 1)" "${blob##*/}"
    done
    build_ok .
    history export --all -o "$T/all.dockerbuild"
    mkdir "$T/all" && tar -C "$T/all" -xzf "$T/all.dockerbuild"
    manifest=$(jq -r '.manifests[0].digest' "$T/all/index.json")
    expect_equal "$(jq '.manifests | length' "$T/all/blobs/${manifest/:/\/}")" 2
    history export --all x
    expect_status 1
}

@test "what buildx has and cob has not is refused by name" {
    local word
    for word in 'import -f x' open 'trace --addr x' 'inspect attachment'; do
        # shellcheck disable=SC2086
        history $word
        expect_status 1
        expect_output "cob history ${word%% -*}"
        refuse_output 'unknown'
    done
}

@test "the metadata file names the build" {
    simple_build
    build_ok --metadata-file "$T/meta.json" .
    expect_equal "$(jq -r '."buildx.build.ref"' "$T/meta.json")" "default/default/$(newest)"
    history logs "$(jq -r '."buildx.build.ref"' "$T/meta.json")"
    expect_status 0
}

@test "an argument that is a secret is not kept with the names of steps" {
    printf 'FROM scratch\nARG API_TOKEN\nCOPY file /$API_TOKEN\nCOPY nothing /$API_TOKEN\n' >Dockerfile
    echo 1 >file
    build_fails --build-arg API_TOKEN=hidden-value .
    history logs
    expect_output 'COPY nothing /***'
    expect_equal "$(grep_store hidden-value | grep /history/)" ''
}

@test "passwords in URLs are not kept" {
    run "$COB" build --progress=plain http://user:pass-word@127.0.0.1:1/x.tar
    expect_status 1
    history ls --no-trunc
    refuse_output pass-word
    expect_equal "$(grep_store pass-word | grep /history/)" ''
}
