#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The two Dockerfiles of the first build, as a user has them.

load ../lib/cob

setup_file() {
    shared_store_make
    COB_ROOT=$SHARED_STORE/root "$project/tools/stand-ins" image golang golang:1.21-bullseye
    COB_ROOT=$SHARED_STORE/root "$project/tools/stand-ins" image debian ubuntu:22.04
}
teardown_file() { shared_store_remove; }
setup() {
    cob_setup
    shared_store_use
}
teardown() { cob_teardown; }

@test "go example: builds, runs, is cached, and is built again after an edit" {
    cp -r "$project/examples/go/." .
    build_ok -t hello .
    run "$COB" run --rm hello
    expect_status 0
    expect_output 'hello from an image that cob built' bookworm
    build_ok -t hello .
    grep -F -A1 'go build -o app' <<<"$output" | grep -q CACHED || fail 'go build ran again' "$output"
    sed -i 's/hello from an image/hello after an edit/' main.go
    build_ok -t hello .
    run "$COB" run --rm hello
    expect_output 'hello after an edit'
}

@test "go example: what is not changed stays in the cache after an edit" {
    cp -r "$project/examples/go/." .
    build_ok -t hello .
    sed -i 's/hello from/another hello from/' main.go
    build_ok -t hello .
    local step
    for step in 'COPY go.mod .' 'RUN go mod download' 'RUN mkdir /app'; do
        grep -F -A1 "$step" <<<"$output" | grep -q CACHED || fail "not from the cache: $step" "$output"
    done
    expect_output 'RUN --mount=type=cache,target="/root/.cache/go-build" go build -o app'
}

@test "static example: its two locked mounts live on between builds and between projects" {
    cp -r "$project/examples/static/." .
    build_ok -t tool .
    expect_output 'builds that used /go/pkg/mod before: 0'
    run "$COB" run --rm tool
    expect_exact 'a static program'
    sed -i 's/a static/an edited/' main.go
    build_ok -t tool .
    expect_output 'builds that used /go/pkg/mod before: 1' '/root/.cache is warm'
    mkdir "$T/other-project" && cd "$T/other-project"
    cp -r "$project/examples/static/." .
    sed -i 's/a static/another/' main.go
    build_ok -t tool2 .
    expect_output 'builds that used /go/pkg/mod before: 2' '/root/.cache is warm'
}
