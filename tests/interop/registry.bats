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
    [ -z "${liar_pid:-}" ] || kill "$liar_pid" || :
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
    expect_output "$REGISTRY/private:v1: $REGISTRY: SSL certificate problem: unable to get local issuer certificate" \
        "put the certificate of its CA into /etc/docker/certs.d/$REGISTRY/ca.crt"
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

# liar [CERTIFICATE-NAME]: a registry, and a proxy, that follows tests/lib/liar.py; $port, and $tls_port by TLS.
liar() {
    rm -f "$T/port" "$T/port.tls"
    python3 "$project/tests/lib/liar.py" serve "$T/port" "$T/canary" ${1:+"$T/$1.crt" "$T/$1.key"} \
        >/dev/null 2>"$T/liar.log" 3>&- &
    liar_pid=$!
    wait_for 10 test -s "$T/port"
    port=$(cat "$T/port") tls_port=$(cat "$T/port.tls" 2>/dev/null) || :
    : >"$T/port.log"
}

# settings REGISTRY JSON...: of registries, for cob.
settings() {
    local text=
    while [ $# -gt 0 ]; do
        text+="${text:+, }\"$1\": $2"
        shift 2
    done
    mkdir -p "$T/config" && export COB_CONFIG=$T/config
    printf '{"registries": {%s}}' "$text" >"$T/config/registries.json"
}

pull_fails() { # image text...
    local image=$1
    shift
    run timeout 60 "$COB" pull --progress=plain "$image"
    expect_status 1
    expect_output "ERROR: $image" "$@"
}

@test "tls: a certificate of another time, host or CA says which" {
    need_program openssl python3
    registry_make_certs "$T"
    registry_make_cert "$T" late localhost 20800101000000Z 20810101000000Z
    registry_make_cert "$T" old localhost 20200101000000Z 20210101000000Z
    registry_make_cert "$T" strange reg.example
    local name problem
    while IFS=: read -r name problem; do
        liar "$name"
        settings "localhost:$tls_port" "{\"ca\": \"$T/ca.crt\"}"
        pull_fails "localhost:$tls_port/fine:v1" "localhost:$tls_port: $problem"
        expect_file "$T/port.log" ''
        kill "$liar_pid"
    done <<'EOF'
late:SSL certificate problem: certificate is not yet valid; is this machine's clock right?
old:SSL certificate problem: certificate has expired; is this machine's clock right?
strange:SSL: no alternative certificate subject name matches target host name 'localhost'
EOF
    liar server
    settings "localhost:$tls_port" '{"http": false}'
    pull_fails "localhost:$tls_port/fine:v1" 'unable to get local issuer certificate; put the certificate of its CA into'
    settings "localhost:$tls_port" "{\"ca\": \"$T/ca.crt\"}"
    run "$COB" pull "localhost:$tls_port/fine:v1"
    expect_status 0
    # a connection that is cut is no end of an answer, although TLS has none of its own here
    run "$COB" pull "localhost:$tls_port/cut:v1"
    expect_status 0
    expect_equal "$(grep -c '^TLS GET /v2/cut/blobs/.* bytes=' "$T/port.log")" 2 'pieces asked for'
}

@test "tls: where it fails, plain http is not tried" {
    need_program python3
    liar
    settings "localhost:$port" '{"http": false}'
    pull_fails "localhost:$port/fine:v1" "localhost:$port: "
    expect_file "$T/port.log" ''
}

# A public name behind a proxy, as nothing else on this machine is public.
@test "https: redirects and realms that lead down, home or nowhere are not followed" {
    need_program openssl python3
    registry_make_certs "$T" && registry_make_cert "$T" public reg.example
    liar public
    settings reg.example "{\"ca\": \"$T/ca.crt\"}"
    mkdir -p "$DOCKER_CONFIG"
    printf '{"auths": {"reg.example": {"auth": "%s"}}}' "$(printf 'tester:secret' | base64)" >"$DOCKER_CONFIG/config.json"
    export https_proxy=http://user:s3cret@127.0.0.1:$port
    run "$COB" pull reg.example/fine:v1
    expect_status 0
    : >"$T/port.log"
    local name where error realm_error private='may not point to a private address'
    while IFS='|' read -r name where error realm_error; do
        pull_fails "reg.example/$name:v1" "redirect to $where" "${error:-$private}"
        pull_fails "reg.example/$name-realm:v1" "token from realm $where" "${realm_error:-${error:-$private}}"
        refuse_output s3cret tester:secret
    done <<'EOF'
to-http|http://reg.example/token|it leads from https to http|it must be https, as the registry is
to-link-local|https://169.254.169.254/latest/meta-data||
to-loopback|https://127.0.0.1:||
to-short-loopback|https://0x7f.1:||
to-private|https://10.0.0.1/token||
to-ipv6|https://[::ffff:7f00:1]:||
to-file|file:///etc/passwd|file is neither https nor http|
to-user|https://|a URL with a user or a password is not accepted|
EOF
    expect_equal "$(grep -c '^TLS GET /v2/to-' "$T/port.log")" 16 'what was asked of the registry'
    expect_equal "$(grep -vE '^(TLS GET /v2/to-|CONNECT reg.example:443 )' "$T/port.log")" '' 'what else was asked'
}

@test "proxy: http_proxy, HTTP_PROXY, https_proxy, HTTPS_PROXY, all_proxy and no_proxy count as they do for others" {
    need_program openssl python3
    registry_make_certs "$T" && registry_make_cert "$T" public reg.example
    liar public
    settings reg.example "{\"ca\": \"$T/ca.crt\"}" plain.example '{"http": true}'
    local proxy=http://user:s3cret@127.0.0.1:$port variable image want n=0
    while read -r variable image want; do
        : >"$T/port.log"
        run env "$variable=$proxy" "$COB" pull --progress=plain "$image:v1"
        expect_status 0
        grep -q "^$want" "$T/port.log" || fail "$variable, $image: wanted $want" "$(cat "$T/port.log")"
        refuse_output s3cret
        as_store_owner rm -rf "$COB_ROOT"
        n=$((n + 1))
    done <<'EOF'
http_proxy plain.example/fine GET http://plain.example/v2/fine/manifests/v1
HTTP_PROXY plain.example/fine GET http://plain.example/v2/fine/manifests/v1
all_proxy plain.example/fine GET http://plain.example/v2/fine/manifests/v1
https_proxy reg.example/fine CONNECT reg.example:443
HTTPS_PROXY reg.example/fine CONNECT reg.example:443
ALL_PROXY reg.example/fine CONNECT reg.example:443
EOF
    expect_equal "$n" 6
    : >"$T/port.log"
    local no
    for no in 'no_proxy=reg.example' 'NO_PROXY=.example' 'no_proxy=a.test, example' 'NO_PROXY=*'; do
        run env "HTTPS_PROXY=$proxy" "$no" timeout 60 "$COB" pull reg.example/fine:v1
        expect_status 1
        expect_output reg.example
    done
    run env REQUEST_METHOD=GET "HTTP_PROXY=$proxy" timeout 60 "$COB" pull plain.example/fine:v1
    expect_status 1
    expect_file "$T/port.log" ''
    # what is on this machine is asked without
    run env "http_proxy=http://user:s3cret@127.0.0.1:1" "$COB" pull "localhost:$port/fine:v1"
    expect_status 0
}

@test "proxy: one that refuses, or is no proxy, is a clear error without its password" {
    need_program openssl python3
    registry_make_certs "$T" && registry_make_cert "$T" public reg.example
    liar public
    settings reg.example "{\"ca\": \"$T/ca.crt\"}" plain.example '{"http": true}'
    local proxy text
    while IFS='|' read -r proxy text; do
        https_proxy=$proxy pull_fails reg.example/fine:v1 "$text"
        refuse_output s3cret
        COB_TRACE=9 https_proxy=$proxy run timeout 60 "$COB" pull --progress=plain reg.example/fine:v1
        refuse_output s3cret
    done <<EOF
http://user:s3cretly@127.0.0.1:$port|reg.example: the proxy asks for a login: https_proxy=http://user:password@host:port
http://user:s3cret@127.0.0.1:1|Failed to connect to 127.0.0.1 port 1
http://user:s3cret@bad host:1|reg.example: the proxy that the environment names is no URL
odd://user:s3cret@127.0.0.1:1|reg.example: the proxy that the environment names is no URL
http://user:s3cret@127.0.0.1:99999|reg.example: the proxy that the environment names is no URL
EOF
    http_proxy=http://user:s3cretly@127.0.0.1:$port pull_fails plain.example/fine:v1 'the proxy asks for a login'
    refuse_output s3cret
    [ ! -e "$COB_ROOT" ] || expect_equal "$(grep_store s3cret)" '' 'the password in the store'
}
