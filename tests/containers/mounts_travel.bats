#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The Go example's cache mount, with all packages of the standard library in it, goes to another machine.

load ../lib/cob

setup() {
    cob_setup
    need_root
    go_images
    cp -r "$project/examples/go/." .
    sed -i 's/go build -o/go build -gcflags=all=-dwarf=false -o/' Dockerfile
}

teardown() { cob_teardown; }

go_images() {
    "$project/tools/stand-ins" image golang golang:1.21-bullseye
    "$project/tools/stand-ins" image debian ubuntu:22.04
}

moved_bytes() {
    "$COB" cache export --all --to "type=local,dest=$T/c" --format json | jq -r .MovedBytes
}

# hundredths COMMAND...: of a second.
hundredths() {
    local begun
    begun=$(date +%s%N)
    "$@" >&2
    echo $((($(date +%s%N) - begun) / 10000000))
}

@test "after a one-line edit less than 5 % is sent, and a cold machine with the mount compiles nothing but that" {
    local first edit bare cold
    bare=$(hundredths "$COB" build -q .)
    first=$(moved_bytes)
    [ "$first" -gt 1000000 ]
    sed -i 's/^const greeting = .*/const greeting = "edited"/' main.go
    run "$COB" build -q .
    expect_status 0
    edit=$(moved_bytes)
    echo "first $first bytes, after the edit $edit" >&2
    [ "$edit" -gt 0 ] && [ $((edit * 20)) -lt "$first" ]
    [ "$(moved_bytes)" -eq 0 ]
    sed -i 's/^const greeting = .*/const greeting = "again"/' main.go
    export COB_ROOT=$store/cold
    go_images
    run "$COB" cache import --from "type=local,src=$T/c"
    expect_status 0
    cold=$(hundredths "$COB" build -q .)
    echo "without the mount ${bare}, with it ${cold}" >&2
    [ $((cold * 3)) -lt "$bare" ]
}
