#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Pulls from a real registry, of what skopeo pushed.

load ../lib/cob
load ../lib/registry.sh
setup() {
    cob_setup
    need_program docker-registry skopeo
    mkdir -p "$T/tmp" && export TMPDIR=$T/tmp
}
teardown() {
    registry_stop
    cob_teardown
}

# push NAME [SKOPEO-OPTION...]: an image with three layers.
push() {
    local name=$1 saved=$COB_ROOT
    shift
    COB_ROOT=$store/pusher
    busybox_image
    printf 'FROM busybox\nRUN echo one >/one; echo gone >/gone\nRUN rm /gone; echo "%s" >/name\nCMD ["cat", "/name"]\n' "$name" >"$T/push.Dockerfile"
    "$COB" build -q -f "$T/push.Dockerfile" -o "type=oci,dest=$T/push.tar" "$T/ctx" >/dev/null
    COB_ROOT=$saved
    skopeo copy -q --insecure-policy "$@" "oci-archive:$T/push.tar" "docker://$REGISTRY/$name"
}

@test "pull: plain http on localhost; the image runs, builds on, and is there without the registry" {
    registry_start plain
    push team/app:v1 --dest-tls-verify=false
    run "$COB" pull --progress=plain "$REGISTRY/team/app:v1"
    expect_status 0
    run "$COB" images
    expect_output "$REGISTRY/team/app" v1
    run "$COB" run --rm "$REGISTRY/team/app:v1"
    expect_exact team/app:v1
    in_image "$REGISTRY/team/app:v1" 'cat /one; ls /gone'
    expect_output one 'No such file'
    kill "$REGISTRY_PID" && wait "$REGISTRY_PID" || true
    REGISTRY_PID=
    printf 'FROM %s/team/app:v1\nRUN cat /one\n' "$REGISTRY" >Dockerfile
    build_ok .
}

@test "pull: FROM pulls by itself, by tag and by digest" {
    registry_start plain
    push app:v1 --dest-tls-verify=false
    local digest
    digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/app:v1")
    printf 'FROM %s/app@%s\nRUN cat /name\n' "$REGISTRY" "$digest" >Dockerfile
    build_ok .
    expect_output app:v1
    printf 'FROM %s/app:v1\nRUN cat /name /one\n' "$REGISTRY" >Dockerfile
    build_ok .
    printf 'FROM %s/app@sha256:%064d\n' "$REGISTRY" 1 >Dockerfile
    build_fails .
    expect_output "$REGISTRY/app@sha256:" '>>> FROM'
}

@test "pull: a tag that is here is not asked for again, --pull asks" {
    registry_start plain
    push app:v1 --dest-tls-verify=false
    printf 'FROM %s/app:v1\nRUN cat /name >/copy\n' "$REGISTRY" >Dockerfile
    build_ok .
    printf 'FROM %s/app:v1\nRUN true\n' "$REGISTRY" >"$T/push2"
    sed -i 's/one/two/' "$T/push.Dockerfile"
    sed 's/^CMD.*/CMD ["other"]/' -i "$T/push.Dockerfile"
    COB_ROOT=$store/pusher "$COB" build -q -f "$T/push.Dockerfile" -o "type=oci,dest=$T/push.tar" "$T/ctx" >/dev/null
    skopeo copy -q --insecure-policy --dest-tls-verify=false "oci-archive:$T/push.tar" "docker://$REGISTRY/app:v1"
    build_ok .
    expect_equal "$(grep -A1 'RUN cat /name' <<<"$output" | grep -c CACHED)" 1 'cached without --pull'
    build_ok --pull -t pulled .
    expect_equal "$(config_of pulled .config.Cmd)" '["other"]' 'Cmd with --pull'
}

@test "pull: TLS needs the CA, and login is asked for and used" {
    registry_start auth
    push private:v1 --dest-cert-dir="$REGISTRY_DIR/certs.d/$REGISTRY" --dest-creds=tester:secret
    mkdir -p "$T/config" && export COB_CONFIG=$T/config
    printf '{"registries": {"%s": {"http": false}}}' "$REGISTRY" >"$T/config/registries.json"
    run "$COB" pull "$REGISTRY/private:v1"
    expect_status 1
    expect_output "$REGISTRY" ertificate
    printf '{"registries": {"%s": {"ca": "%s/ca.crt"}}}' "$REGISTRY" "$REGISTRY_DIR" >"$T/config/registries.json"
    run "$COB" pull "$REGISTRY/private:v1"
    expect_status 1
    expect_output "$REGISTRY/private:v1"
    refuse_output secret
    mkdir -p "$DOCKER_CONFIG" && cp "$REGISTRY_DIR/config.json" "$DOCKER_CONFIG/"
    run "$COB" pull --progress=plain "$REGISTRY/private:v1"
    expect_status 0
    run "$COB" run --rm "$REGISTRY/private:v1"
    expect_exact private:v1
    expect_equal "$(grep_store dGVzdGVyOnNlY3JldA== | grep -v /home/ || true)" '' 'the login in the store'
}

@test "pull: a credential helper is asked, and named when it fails" {
    registry_start auth
    push private:v1 --dest-cert-dir="$REGISTRY_DIR/certs.d/$REGISTRY" --dest-creds=tester:secret
    mkdir -p "$T/config" "$DOCKER_CONFIG" "$T/bin" && export COB_CONFIG=$T/config
    printf '{"registries": {"%s": {"ca": "%s/ca.crt"}}}' "$REGISTRY" "$REGISTRY_DIR" >"$T/config/registries.json"
    printf '{"credHelpers": {"%s": "mine"}}' "$REGISTRY" >"$DOCKER_CONFIG/config.json"
    printf '#!/bin/sh\ncat >/dev/null\necho "{\\"Username\\": \\"tester\\", \\"Secret\\": \\"secret\\"}"\n' >"$T/bin/docker-credential-mine"
    chmod +x "$T/bin/docker-credential-mine"
    PATH=$T/bin:$PATH
    run "$COB" pull "$REGISTRY/private:v1"
    expect_status 0
    "$COB" rmi "$REGISTRY/private:v1"
    printf '#!/bin/sh\necho broken-helper >&2; exit 3\n' >"$T/bin/docker-credential-mine"
    rm -rf "$COB_ROOT"  2>/dev/null || remove_tree "$COB_ROOT"
    run "$COB" pull "$REGISTRY/private:v1"
    expect_status 1
    expect_output docker-credential-mine
}

@test "pull: a mirror is asked first, and held to the same digests" {
    registry_start plain
    push library/thing:v1 --dest-tls-verify=false
    mkdir -p "$T/config" && export COB_CONFIG=$T/config
    printf '{"registries": {"docker.io": {"mirrors": ["%s"]}}}' "$REGISTRY" >"$T/config/registries.json"
    run timeout 60 "$COB" pull thing:v1
    expect_status 0
    run "$COB" run --rm thing:v1
    expect_exact library/thing:v1
}

@test "pull: an index by platform; zstd and uncompressed layers" {
    registry_start plain
    push app:gzip --dest-tls-verify=false
    local format
    for format in zstd; do
        skopeo copy -q --insecure-policy --dest-tls-verify=false --dest-compress-format "$format" --dest-compress \
            "oci-archive:$T/push.tar" "docker://$REGISTRY/app:$format"
        run "$COB" pull --progress=plain "$REGISTRY/app:$format"
        expect_status 0
        in_image "$REGISTRY/app:$format" 'cat /one'
        expect_exact one
    done
    run "$COB" pull --platform linux/s390x "$REGISTRY/app:gzip"
    [ "$status" -le 1 ]
}

@test "pull: what is not there is one clear sentence" {
    registry_start plain
    push app:v1 --dest-tls-verify=false
    run "$COB" pull "$REGISTRY/app:v2"
    expect_status 1
    expect_output "$REGISTRY/app:v2" 'not found'
    run "$COB" pull "$REGISTRY/nothing:v1"
    expect_status 1
    expect_output "$REGISTRY/nothing:v1"
    registry_stop
    run timeout 60 "$COB" pull "localhost:1/app:v1"
    expect_status 1
    expect_output localhost:1
}
