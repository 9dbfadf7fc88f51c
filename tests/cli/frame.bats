#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What is the same for every command: help, errors of use, exit codes, where output goes.

load ../lib/cob

setup() { cob_setup; }
teardown() { cob_teardown; }

@test "no command: the list of commands, on standard output" {
    run --separate-stderr "$COB"
    expect_status 0
    expect_output 'Usage:  cob [OPTIONS] COMMAND' 'build        Build an image from a Dockerfile'
    expect_equal "$stderr" ''
}

@test "--help and help say the same" {
    run "$COB" build --help
    expect_status 0
    expect_output 'Usage:  cob build [OPTIONS] PATH | URL | -' '  -t, --tag stringArray '
    help=$output
    run "$COB" help build
    expect_exact "$help"
}

@test "an unknown flag: said with the one that was meant, exit code 1, nothing on standard output" {
    run --separate-stderr "$COB" build --tga x .
    expect_status 1
    expect_equal "$output" ''
    expect_equal "$stderr" "ERROR: unknown flag: --tga (did you mean --tag?)
See 'cob build --help'."
}

@test "an unknown command: said with the one that was meant" {
    run "$COB" biuld
    expect_status 1
    expect_exact "ERROR: unknown command: biuld (did you mean build?)
See 'cob --help'."
}

@test "what docker build has and cob has not yet is an error that says so" {
    run "$COB" build --push .
    expect_status 1
    expect_output 'ERROR: --push is not carried out yet'
}

@test "an unknown progress mode is an error" {
    dockerfile <<<'FROM scratch'
    run "$COB" build --progress=fancy .
    expect_status 1
    expect_output 'unknown progress mode fancy: use auto, tty, plain, quiet or rawjson'
}

@test "a flag's control characters do not reach the terminal" {
    run "$COB" build $'--x\033[2J'
    expect_status 1
    expect_output '--x\x1b[2J'
    refuse_output $'\033'
}

@test "version names cob, its libraries and the kernel" {
    run "$COB" version
    expect_status 0
    expect_output 'cob:' ' Version: ' 'glib 2.' "$(uname -r)"
}

@test "standard output that is full is an error" {
    run bash -c '"$COB" version >/dev/full'
    expect_status 1
    expect_output 'ERROR: standard output: write: No space left on device'
}

@test "standard output that nobody reads is an error, not a signal" {
    run bash -c '{ "$COB" help; echo "exit code $?" >&2; } | true'
    refuse_output 'exit code 141'
}

@test "completions: bash takes them, all shells have them" {
    for shell in bash zsh fish; do
        run "$COB" completion "$shell"
        expect_status 0
        expect_output build no-cache
    done
    "$COB" completion bash >completion
    run bash -c 'source ./completion && COMP_WORDS=(cob b) COMP_CWORD=1 && _cob && echo "${COMPREPLY[*]}"'
    expect_exact build
    run bash -c 'source ./completion && COMP_WORDS=(cob build --no) COMP_CWORD=2 && _cob && echo "${COMPREPLY[*]}"'
    expect_exact '--no-cache --no-cache-filter --no-cache-mounts'
}

@test "completions: fish and zsh take them, letters as well" {
    need_program fish zsh
    "$COB" completion fish >cob.fish
    run fish --no-config -c 'source cob.fish; complete -C "cob build -"'
    expect_line $'-t\tImage name and tag .*'
    expect_line $'--no-cache-filter\tDo not cache specified stages'
    run fish --no-config -c 'source cob.fish; complete -C "cob pul"'
    expect_exact $'pull\tDownload an image from a registry'
    # zsh completes at a prompt alone; here _arguments tells what it was given.
    "$COB" completion zsh >_cob
    run zsh -f -c '_arguments() { print -rl -- "$@"; }; words=(cob build -) CURRENT=3; source ./_cob'
    expect_status 0
    expect_line '\*-t\+\[Image name and tag .*\]:value:_files'
    expect_line '\(-f --file\)--file=\[Name of the Dockerfile .*'
    expect_line '--no-cache\[Run every step again.*\]'
}

@test "the man page is troff without warnings, and names every option" {
    need_program groff
    "$COB" debug man >cob.1
    run groff -man -Tutf8 -ww -z cob.1
    expect_exact ''
    grep -q 'no\\-cache\\-filter' cob.1 || fail 'no --no-cache-filter'
}

# start_build [SECONDS]: in the background, where bash has it ignore SIGINT; until its step runs.
# reset: what cob is to be run by.
start_build() {
    busybox_image
    dockerfile <<<$'FROM busybox\nRUN echo begun; sleep '"${1:-60}"
    "${reset[@]}" "$COB" build --progress=plain . >out 2>&1 3>&- &
    pid=$!
    wait_for 10 grep -q '^#[0-9]* [0-9.]* begun' out
}

# end_of_build: its exit code and its output, as run has them.
end_of_build() {
    status=0
    wait "$pid" || status=$?
    output=$(cat out)
}

@test "SIGINT ends the step, and cob with 130, also where a script ignores it" {
    start_build
    kill -INT "$pid"
    end_of_build
    expect_status 130
    expect_output 'begun' 'CANCELED' 'ERROR: failed to solve: cancelled'
}

@test "SIGTERM ends the step, and cob with 143" {
    start_build
    kill -TERM "$pid"
    end_of_build
    expect_status 143
    expect_output 'CANCELED'
}

@test "SIGHUP ends the step, and cob with 129" {
    local reset=(env --default-signal=HUP) # whatever called the tests
    start_build
    kill -HUP "$pid"
    end_of_build
    expect_status 129
    expect_output 'CANCELED'
}

@test "SIGHUP does nothing to a build behind nohup" {
    trap '' HUP
    start_build 2
    trap - HUP
    kill -HUP "$pid"
    end_of_build
    expect_status 0
    refuse_output 'CANCELED'
}

@test "a second signal does not wait for an end in good order, and leaves nothing running" {
    start_build
    kill -STOP "$pid" # both are there before cob can act on the first
    kill -INT "$pid"
    kill -TERM "$pid"
    kill -CONT "$pid"
    end_of_build
    [ "$status" -eq 130 ] || expect_status 143
    refuse_output 'ERROR:'
    expect_nothing_left
}
