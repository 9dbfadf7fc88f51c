#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cob build from the user's view, as far as it goes without running a container.

load ../lib/cob
setup() { cob_setup; }
teardown() { cob_teardown; }

tar_of() { # dockerfile-arguments...: what the image holds, as names
    "$COB" build --quiet -o "type=tar,dest=$T/out.tar" "$@" . && tar -tf "$T/out.tar" | sort
}

@test "errors: a syntax error quotes the file to the byte" {
    dockerfile <<'END'
FROM scratch
COPY a /a
RUNN echo hello
COPY b /b
END
    run --separate-stderr "$COB" build --progress=quiet .
    expect_status 1
    expect_equal "$output" '' 'standard output'
    # shellcheck disable=SC2154
    expect_equal "$stderr" 'Dockerfile:3
--------------------
   1 |     FROM scratch
   2 |     COPY a /a
   3 | >>> RUNN echo hello
   4 |     COPY b /b
   5 |     
--------------------
ERROR: failed to solve: dockerfile parse error on line 3: unknown instruction: RUNN (did you mean RUN?)' 'standard error'
}

@test "errors: every kind of bad Dockerfile names its line" {
    local row name text line want failed=0
    while IFS='|' read -r name text line want; do
        printf '%b' "$text" >Dockerfile
        run "$COB" build --progress=quiet .
        if [ "$status" -ne 1 ] || [[ $output != *"Dockerfile:$line"* ]] || [[ $output != *"$want"* ]]; then
            printf '%s: exit %s, wanted 1, Dockerfile:%s and: %s; got:\n%s\n' \
                "$name" "$status" "$line" "$want" "$output" >&2
            failed=1
        fi
    done <<'END'
unknown mount option|FROM scratch\nRUN --mount=type=cache,target=/x,colour=red true\n|2|unexpected key 'colour'
unknown mount type|FROM scratch\nRUN --mount=type=cash,target=/x true\n|2|unsupported mount type "cash"
mount without target|FROM scratch\nRUN --mount=type=cache true\n|2|
unknown sharing|FROM scratch\nRUN --mount=type=cache,target=/x,sharing=some true\n|2|sharing
unknown flag|FROM scratch\nCOPY --form=x a b\n|2|unknown flag: --form (did you mean from?)
unknown stage by number|FROM scratch\nCOPY --from=5 a b\n|2|invalid stage index 5
a stage of itself|FROM scratch AS a\nCOPY --from=a /x /y\n|2|
a cycle|FROM scratch AS a\nCOPY --from=b /x /y\nFROM scratch AS b\nCOPY --from=a /x /y\n|4|circular dependency
no FROM|COPY a b\n|1|no build stage in current context
empty FROM|FROM\n|1|FROM requires either one or three arguments
COPY with one argument|FROM scratch\nCOPY a\n|2|COPY requires at least two arguments
bad ENV|FROM scratch\nENV A\n|2|ENV
open heredoc|FROM scratch\nRUN <<EOF\ntrue\n|2|heredoc
bad SHELL|FROM scratch\nSHELL /bin/sh\n|2|SHELL requires the arguments to be in JSON form
bad HEALTHCHECK|FROM scratch\nHEALTHCHECK --interval=x CMD true\n|2|
bad EXPOSE|FROM scratch\nEXPOSE 99999999\n|2|
host network is not allowed|FROM scratch\nRUN --network=host true\n|2|--allow network.host
END
    [ "$failed" -eq 0 ]
}

@test "errors: an empty Dockerfile" {
    : >Dockerfile
    run "$COB" build .
    expect_status 1
    expect_output 'the Dockerfile cannot be empty'
}

@test "errors: no Dockerfile, no context, an unknown target, a wrong output" {
    run "$COB" build .
    expect_status 1
    expect_output 'failed to read dockerfile: open' 'Dockerfile: no such file or directory'
    run "$COB" build /no/such/context
    expect_status 1
    expect_exact 'ERROR: unable to prepare context: path "/no/such/context" not found'
    touch file
    run "$COB" build file
    expect_status 1
    expect_exact 'ERROR: unable to prepare context: path "file" is not a directory: name a Dockerfile by --file'
    mkdir folder && mkdir folder/Dockerfile
    run "$COB" build folder
    expect_status 1
    expect_output 'ERROR: failed to solve: failed to read dockerfile: open folder/Dockerfile: not a regular file'
    printf 'FROM scratch AS base\n' >Dockerfile
    run "$COB" build --target bsae .
    expect_status 1
    expect_output 'target stage "bsae" could not be found (did you mean base?)'
    run "$COB" build -o type=zip,dest=x .
    expect_status 1
    expect_output '--output type=zip'
    run "$COB" build -t 'Bad Name' .
    expect_status 1
    expect_output 'ERROR: failed to solve: invalid tag "Bad Name": invalid reference format'
    run "$COB" build --network bridge .
    expect_status 1
    expect_output 'ERROR: failed to solve: unknown network bridge: there are default, host and none'
    run "$COB" build --secret id=a,src=/no/such/file .
    expect_status 1
    expect_output /no/such/file
}

@test "errors: a file that cannot be read is named" {
    need_root # to have a file that belongs to somebody else
    echo secret >f && chmod 600 f
    printf 'FROM scratch\nCOPY f /\n' >Dockerfile
    cp "$COB" "$T/cob"
    mkdir "$T/nobody" && chown 65534 "$T/nobody" && chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$T/ctx"
    run env COB_ROOT="$T/nobody/root" HOME="$T/nobody" \
        setpriv --reuid=65534 --regid=65534 --clear-groups "$T/cob" build --progress=plain .
    expect_status 1
    expect_output f 'ermission denied' '>>> COPY f /'
}

@test "errors: a COPY source that is missing is quoted" {
    printf 'FROM scratch\nCOPY missing.txt /\n' >Dockerfile
    build_fails .
    expect_output '>>> COPY missing.txt /' '"/missing.txt": not found'
}

@test "errors: a Dockerfile that is a folder, a pipe or a device does not block" {
    mkdir d && mkfifo p
    local file
    for file in d p /dev/zero; do
        run timeout 10 "$COB" build -f "$file" .
        expect_status 1
        expect_output "$file"
    done
}

@test "errors: a Dockerfile of 17 MiB is refused" {
    { echo FROM scratch && head -c 17000000 /dev/zero | tr '\0' '#'; } >Dockerfile
    run "$COB" build .
    expect_status 1
    expect_output Dockerfile
    [ "${#output}" -lt 2000 ]
}

@test "errors: control bytes in a Dockerfile and in names reach no terminal" {
    printf 'FROM scratch\nRUNN \033[31mred\007\n' >Dockerfile
    build_fails .
    [[ $output != *$'\033'* ]] && [[ $output != *$'\007'* ]]
    run "$COB" build -t $'x\033[31m' .
    expect_status 1
    [[ $output != *$'\033'* ]]
}

@test "progress: plain has BuildKit's lines, also from the cache" {
    echo 1 >a
    printf 'FROM scratch\nCOPY a /\n' >Dockerfile
    build_ok -t p .
    expect_line '#[0-9]+ \[internal\] load build definition from Dockerfile'
    expect_line '#[0-9]+ \[1/1\] COPY a /'
    expect_line '#[0-9]+ DONE [0-9]+\.[0-9]s'
    build_ok -t p .
    expect_equal "$(n_cached)" 1 'steps from the cache'
}

@test "progress: auto is plain when it is piped" {
    printf 'FROM scratch\nENV A=1\n' >Dockerfile
    run "$COB" build .
    expect_status 0
    expect_output '#1 [internal] load build definition'
    [[ $output != *$'\033'* ]]
}

@test "progress: quiet prints the image's id, and nothing else" {
    echo 1 >a
    printf 'FROM scratch\nCOPY a /\n' >Dockerfile
    run --separate-stderr "$COB" build -q .
    expect_status 0
    [[ $output =~ ^sha256:[0-9a-f]{64}$ ]]
    expect_equal "$stderr" ''
    run --separate-stderr "$COB" build -q --iidfile "$T/id" .
    expect_equal "$(cat "$T/id")" "$output" iidfile
}

@test "metadata-file: what was built, under buildx's keys" {
    printf 'FROM scratch\nLABEL a=b\n' >Dockerfile
    run "$COB" build -q -t one -t example.org/two:v2 --metadata-file "$T/metadata.json" .
    expect_status 0
    expect_equal "$(jq -c 'del(."buildx.build.ref")' "$T/metadata.json")" "{\"containerimage.config.digest\":\"$output\",\"containerimage.digest\":\"$output\",\"image.name\":\"docker.io/library/one:latest,example.org/two:v2\"}"
    run "$COB" build --metadata-file /dev/null .
    expect_status 1
    expect_exact 'ERROR: --metadata-file /dev/null: it is there, and is no regular file'
}

@test "a context without a Dockerfile may have a dockerfile" {
    printf 'FROM scratch\nLABEL a=b\n' >dockerfile
    build_ok .
    expect_output 'load build definition from dockerfile'
    printf 'FROM scratch\nLABEL a=c\n' >Dockerfile
    build_ok .
    expect_output 'load build definition from Dockerfile'
}

@test "progress: tty draws on a terminal, right at any width" {
    need_program script
    echo 1 >a
    printf 'FROM scratch\nCOPY a /a-rather-long-name-so-that-a-narrow-terminal-has-to-cut-it\n' >Dockerfile
    local width widest
    for width in 20 80 200; do
        run script -qec "stty cols $width rows 24; $COB build --no-cache --progress=tty ." /dev/null
        expect_status 0
        [ "$width" -eq 20 ] || expect_output FINISHED
        widest=$(sed -E 's/\x1b\[[0-9;?]*[A-Za-z]//g; s/\r//g' <<<"$output" | awk '{ if (length > n) n = length } END { print n }')
        [ "$widest" -le "$width" ] || fail "a line of $widest columns on a terminal of $width"
    done
}

@test "build-arg, env and label reach the image's configuration" {
    dockerfile <<'END'
ARG BASE=scratch
FROM $BASE
ARG VERSION=1
ENV V=$VERSION W="${VERSION}-w" X=${NONE:-none}
LABEL version=$VERSION
EXPOSE 80 53/udp
VOLUME /data
STOPSIGNAL SIGQUIT
USER 7:8
WORKDIR /w
CMD ["a", "b"]
ENTRYPOINT ["e"]
HEALTHCHECK --interval=5s --retries=2 CMD ["check"]
END
    build_ok --build-arg VERSION=2 --label extra=yes -t conf .
    expect_equal "$(config_of conf .config.Env)" \
        '["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","V=2","W=2-w","X=none"]' Env
    expect_equal "$(config_of conf .config.Labels)" '{"extra":"yes","version":"2"}' Labels
    expect_equal "$(config_of conf .config.ExposedPorts)" '{"53/udp":{},"80/tcp":{}}' ExposedPorts
    expect_equal "$(config_of conf .config.Volumes)" '{"/data":{}}' Volumes
    expect_equal "$(config_of conf .config.StopSignal)" '"SIGQUIT"' StopSignal
    expect_equal "$(config_of conf .config.User)" '"7:8"' User
    expect_equal "$(config_of conf .config.WorkingDir)" '"/w"' WorkingDir
    expect_equal "$(config_of conf .config.Cmd)" '["a","b"]' Cmd
    expect_equal "$(config_of conf .config.Entrypoint)" '["e"]' Entrypoint
    expect_equal "$(config_of conf .config.Healthcheck.Interval)" 5000000000 Interval
}

@test "build-arg without a value is taken from the environment" {
    printf 'FROM scratch\nARG A=default\nLABEL a=$A\n' >Dockerfile
    A=outside build_ok --build-arg A -t e .
    run env A=outside "$COB" build -q --build-arg A -t e .
    expect_status 0
    expect_equal "$(config_of e .config.Labels.a)" '"outside"'
}

@test "target: only the wanted stage is built" {
    echo 1 >a
    printf 'FROM scratch AS one\nCOPY a /one\nFROM scratch AS two\nCOPY missing /\n' >Dockerfile
    build_ok --target one -t t .
    refuse_output missing
    build_ok --target 0 -t t .
}

@test "-f: another file, outside of the context, and from standard input" {
    echo 1 >a
    printf 'FROM scratch\nCOPY a /from-f\n' >"$T/other.Dockerfile"
    build_ok -f "$T/other.Dockerfile" -o "type=tar,dest=$T/f.tar" .
    tar -tf "$T/f.tar" | grep -qx from-f
    run bash -c 'printf "FROM scratch\nCOPY a /from-stdin\n" | "$COB" build -f - -o "type=tar,dest=$1/s.tar" .' - "$T"
    expect_status 0
    tar -tf "$T/s.tar" | grep -qx from-stdin
    run bash -c 'printf "FROM scratch\nLABEL a=b\n" | "$COB" build -'
    expect_status 0
}

@test "dockerignore: patterns, exceptions, and the file's own" {
    mkdir -p keep drop/deep
    touch a.log b.txt keep/x.log keep/y drop/z drop/deep/kept
    printf '# comment\n*.log\n**/*.log\ndrop\n!drop/deep/kept\nDockerfile\n.dockerignore\n' >.dockerignore
    printf 'FROM scratch\nCOPY . /\n' >Dockerfile
    run tar_of
    expect_status 0
    expect_output b.txt keep/y drop/deep/kept
    refuse_output .log drop/z Dockerfile .dockerignore
    printf 'keep\n' >Dockerfile.dockerignore
    run tar_of
    expect_output a.log drop/z
    refuse_output keep
}

@test "dockerignore: a COPY of an ignored file says that it is not there" {
    echo 1 >a
    echo a >.dockerignore
    printf 'FROM scratch\nCOPY a /\n' >Dockerfile
    build_fails .
    expect_output '"/a": not found'
}

@test "no-cache runs the steps again, and gives the same image" {
    echo 1 >a
    printf 'FROM scratch\nCOPY a /\n' >Dockerfile
    build_ok .
    build_ok .
    expect_equal "$(n_cached)" 1 'from the cache'
    build_ok --no-cache .
    expect_equal "$(n_cached)" 0 'from the cache with --no-cache'
}

@test "cache: same size and same mtime with other content is no hit" {
    printf 'FROM scratch\nCOPY a /\n' >Dockerfile
    echo 11111111 >a && touch -d @1000000000 a
    build_ok -t c .
    echo 22222222 >a && touch -d @1000000000 a
    build_ok -t c -o "type=local,dest=$T/out" .
    expect_file "$T/out/a" 22222222
}

@test "cache: a touched file and a renamed context are hits" {
    printf 'FROM scratch\nCOPY a /\n' >Dockerfile
    echo 1 >a
    build_ok .
    touch -d @1200000000 a
    build_ok .
    expect_equal "$(n_cached)" 1 'after touch'
    cp -r "$T/ctx" "$T/ctx2" && cd "$T/ctx2"
    build_ok .
    expect_equal "$(n_cached)" 1 'in another folder'
    chmod 755 a
    build_ok .
    expect_equal "$(n_cached)" 0 'after chmod'
}

@test "debug llb prints the graph, and builds nothing" {
    printf 'FROM scratch\nCOPY a /\n' >Dockerfile
    run "$COB" debug llb .
    expect_status 0
    expect_output local://context copy
}

@test "output: a folder is replaced whole or not at all" {
    mkdir out && echo old >out/old
    printf 'FROM scratch\nCOPY missing /\n' >Dockerfile
    build_fails -o out .
    expect_file out/old old
    printf 'FROM scratch\nCOPY Dockerfile /new\n' >Dockerfile
    build_ok -o "type=tar,dest=$T/x.tar" .
    printf 'FROM scratch\nCOPY missing /\n' >Dockerfile
    local before
    before=$(sha256sum "$T/x.tar")
    build_fails -o "type=tar,dest=$T/x.tar" .
    expect_equal "$(sha256sum "$T/x.tar")" "$before" 'the archive after a failure'
}

@test "output: a destination that is a pipe, a folder or a link is refused" {
    printf 'FROM scratch\nLABEL a=b\n' >Dockerfile
    mkfifo "$T/pipe" && mkdir "$T/folder" && echo canary >"$T/canary" && ln -s canary "$T/link"
    run timeout 10 "$COB" build -o "type=oci,dest=$T/pipe" .
    expect_status 1
    run "$COB" build -o "type=oci,dest=$T/folder" .
    expect_status 1
    run "$COB" build -o "type=oci,dest=$T/link" .
    expect_file "$T/canary" canary
}

@test "SOURCE_DATE_EPOCH: by argument and environment, in config, history, and times of a tar" {
    echo a >a
    dockerfile <<'EOF'
FROM scratch
COPY a /
LABEL x=y
EOF
    config() {
        local path=index.json member
        for member in '.manifests[0]' .config; do
            path=blobs/$(tar -xOf "$T/i.tar" "$path" | jq -r "$member.digest" | tr : /)
        done
        tar -xOf "$T/i.tar" "$path"
    }
    build_ok --build-arg SOURCE_DATE_EPOCH=1000000000 -o "type=oci,dest=$T/i.tar" \
        -o "type=tar,dest=$T/t.tar" .
    times=$(config | jq -r '.created, .history[].created' | sort -u)
    expect_equal "$times" 2001-09-09T01:46:40Z 'times by argument'
    times=$(TZ=UTC tar --full-time -tvf "$T/t.tar" | awk '{ print $4, $5 }' | sort -u)
    expect_equal "$times" '2001-09-09 01:46:40' 'times in a tar'
    SOURCE_DATE_EPOCH=7 build_ok -o "type=oci,dest=$T/i.tar" .
    expect_equal "$(config | jq -r .created)" 1970-01-01T00:00:07Z 'time by environment'
    run "$COB" build --build-arg SOURCE_DATE_EPOCH=yesterday .
    expect_status 1
    expect_output 'invalid SOURCE_DATE_EPOCH: yesterday: it should be seconds since 1970'
}

@test "attestations: asked for by whichever way they are refused, and refused they are not there" {
    dockerfile <<'EOF'
FROM scratch
LABEL x=y
EOF
    local row want
    while IFS='|' read -r row want; do
        # shellcheck disable=SC2086
        run "$COB" build $row .
        if [ -z "$want" ]; then
            expect_status 0
        else
            expect_status 1
            expect_output "ERROR: failed to solve: $want"
        fi
    done <<'EOF'
--sbom=true|attestations are not carried out yet: sbom is asked for, --sbom=false does without
--provenance=mode=max|attestations are not carried out yet: provenance is asked for
--attest type=sbom,generator=x|attestations are not carried out yet: sbom is asked for
--build-arg BUILDKIT_ATTEST_SBOM=|attestations are not carried out yet: sbom is asked for
--build-arg BUILDKIT_ATTEST_PROVENANCE=mode=min|attestations are not carried out yet: provenance
--attest type=sbom,disabled=true --build-arg BUILDKIT_ATTEST_SBOM=1|attestations are not carried out yet
--attest type=x|unknown attestation type "x"
--build-arg BUILDKIT_ATTEST_X=1|unknown attestation type "x"
--attest sbom|--attest sbom: invalid value sbom
--attest generator=x|--attest generator=x: attestation type not specified
--attest type=sbom,disabled=perhaps|--attest type=sbom,disabled=perhaps: invalid value disabled=perhaps
--sbom=false --provenance=0|
--attest type=sbom,disabled=true --attest type=provenance,disabled=1|
--attest type=sbom --sbom=false|
--build-arg BUILDKIT_ATTEST_SBOM=false --build-arg BUILDKIT_ATTEST_PROVENANCE=disabled=true|
--build-arg BUILDKIT_ATTEST_NOT_IN_THE_ENVIRONMENT|
EOF
}
