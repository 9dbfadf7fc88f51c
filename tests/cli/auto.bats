#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --cache-mounts and COB_CACHE_MOUNTS: which of them counts, what they add, and what a check says.

load ../lib/cob
setup() {
    cob_setup
    unset COB_CACHE_MOUNTS
    busybox_image
    dockerfile <<'END'
FROM busybox
RUN npm ci
END
}
teardown() { cob_teardown; }

llb() { # options...
    run "$COB" debug llb "$@" .
}

@test "automatic mounts: off, unless they are asked for" {
    llb
    expect_status 0
    refuse_output /root/.npm
    llb --cache-mounts=auto
    expect_status 0
    expect_output 'dest: "/root/.npm"' 'cobAutomatic: true' 'ID: "//root/.npm"'
}

@test "automatic mounts: the flag is stronger than the variable" {
    COB_CACHE_MOUNTS=auto llb
    expect_output /root/.npm
    COB_CACHE_MOUNTS=auto llb --cache-mounts=off
    expect_status 0
    refuse_output /root/.npm
    COB_CACHE_MOUNTS=off llb --cache-mounts auto
    expect_output /root/.npm
    COB_CACHE_MOUNTS='' llb
    expect_status 0
    refuse_output /root/.npm
}

@test "automatic mounts: other values are an error that names them" {
    llb --cache-mounts=on
    expect_status 1
    expect_output '--cache-mounts on: it must be auto or off'
    COB_CACHE_MOUNTS=yes build .
    expect_status 1
    expect_output 'COB_CACHE_MOUNTS=yes: it must be auto or off'
    COB_CACHE_MOUNTS=yes llb --cache-mounts=off
    expect_status 0
}

@test "automatic mounts: the namespace is before their ids, too" {
    llb --cache-mounts=auto --build-arg BUILDKIT_CACHE_MOUNT_NS=ns
    expect_output 'ID: "ns//root/.npm"'
}

@test "automatic mounts: a RUN with a cache mount of its own is left alone" {
    dockerfile <<'END'
FROM busybox
RUN --mount=type=cache,target=/c npm ci
END
    llb
    local without=$output
    llb --cache-mounts=auto
    expect_equal "$output" "$without" 'the graph'
}

@test "check: suggests a mount, which is no warning and no error" {
    run --separate-stderr "$COB" build --check .
    expect_status 0
    expect_equal "$output" 'Check complete, no warnings found.

SUGGESTION: CacheMountSuggested
RUN calls npm: keep the cache from build to build with --mount=type=cache,target=/root/.npm, or build with --cache-mounts=auto
Dockerfile:2
--------------------
   1 |     FROM busybox
   2 | >>> RUN npm ci
   3 |     
--------------------' 'standard output'
    run --separate-stderr "$COB" build --check --build-arg BUILDKIT_DOCKERFILE_CHECK=error=true .
    expect_status 0
    expect_output CacheMountSuggested
}

@test "check: the suggestion stands beside the warnings in JSON" {
    need_program jq
    run --separate-stderr "$COB" build --call=check,format=json .
    expect_status 0
    expect_equal "$(jq -c '[.warnings, .suggestions[0].ruleName]' <<<"$output")" \
        '[[],"CacheMountSuggested"]' 'the JSON'
    run --separate-stderr "$COB" build --call=check,format=json --cache-mounts=auto .
    expect_equal "$(jq -c 'has("suggestions")' <<<"$output")" false 'suggestions'
}

@test "check: suggests nothing where it is switched off, or done" {
    local option
    for option in --cache-mounts=auto \
        '--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=CacheMountSuggested'; do
        run --separate-stderr "$COB" build --check "$option" .
        expect_status 0
        expect_exact 'Check complete, no warnings found.'
    done
}

@test "check: a build says nothing of mounts that it could have" {
    dockerfile <<'END'
FROM busybox
RUN npm ci || true
END
    build_ok .
    refuse_output CacheMountSuggested
}
