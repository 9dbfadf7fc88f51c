#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# RUN --mount=type=ssh: a real ssh-agent outside, ssh-add and ssh-keygen inside.

load ../lib/cob

setup() {
    cob_setup
    need_program ssh-agent ssh-add ssh-keygen
    unset SSH_AUTH_SOCK
    ssh-keygen -q -t ed25519 -N '' -C first@test -f "$T/first"
    ssh-keygen -q -t ed25519 -N '' -C second@test -f "$T/second"
    cp "$T/first.pub" key.pub
    ssh_image
}

teardown() {
    stop_agent
    [ -z "${sshd_pid:-}" ] || kill "$sshd_pid" 2>/dev/null || :
    [ -z "${sshd_home:-}" ] || rm -rf "$sshd_home"
    cob_teardown
    ! compgen -G "${TMPDIR:-/tmp}/cob-ssh-*" >/dev/null || fail "the folder of an agent is left"
}

# The image "ssh": busybox, and OpenSSH's programs with their libraries.
ssh_image() {
    local root=$T/ssh-image file
    busybox_image
    mkdir -p "$root/files"
    for file in /usr/bin/ssh-add /usr/bin/ssh-keygen \
        $(ldd /usr/bin/ssh-add /usr/bin/ssh-keygen | grep -oE '/[^ ]+\.so[^ ]*' | sort -u); do
        mkdir -p "$root/files${file%/*}"
        cp -L "$file" "$root/files$file"
    done
    printf 'FROM busybox\nCOPY files /\n' >"$root/Dockerfile"
    "$COB" build --quiet -t ssh "$root"
}

start_agent() { # KEY...
    eval "$(ssh-agent -a "$T/agent.sock" | sed '/^echo/d')"
    ssh-add -q "$@"
}

stop_agent() {
    [ -z "${SSH_AGENT_PID:-}" ] || kill "$SSH_AGENT_PID"
    unset SSH_AGENT_PID SSH_AUTH_SOCK
}

@test "ssh: --ssh default forwards the agent of SSH_AUTH_SOCK" {
    start_agent "$T/first"
    dockerfile <<'END'
FROM ssh
RUN --mount=type=ssh ssh-add -l && echo "sock=$SSH_AUTH_SOCK" && ls -ln /run/buildkit
RUN ! ls /run/buildkit
END
    build_ok --ssh default .
    expect_output first@test sock=/run/buildkit/ssh_agent.0 'srw-------'
}

@test "ssh: a signature by the agent is good" {
    start_agent "$T/first"
    dockerfile <<'END'
FROM ssh
COPY key.pub /
RUN --mount=type=ssh echo data >/d && ssh-keygen -Y sign -f /key.pub -n test /d && cat /d.sig
END
    build_ok --ssh default -o "type=tar,dest=$T/o.tar" .
    tar -xf "$T/o.tar" -C "$T" d d.sig
    ssh-keygen -Y check-novalidate -n test -s "$T/d.sig" <"$T/d"
}

@test "ssh: a step can list and sign, and nothing else" {
    start_agent "$T/first"
    cp "$T/second" other && chmod 600 other
    dockerfile <<'END'
FROM ssh
COPY --chmod=600 other /
RUN --mount=type=ssh ! ssh-add -D && ! ssh-add /other && ! ssh-add -d /other && ! echo x | ssh-add -x; ssh-add -l
END
    build_ok --ssh default .
    expect_output first@test
    refuse_output second@test
    run ssh-add -l
    expect_output first@test
    refuse_output second@test
}

@test "ssh: with key files cob serves an agent that has them" {
    chmod 644 "$T/second"
    dockerfile <<'END'
FROM ssh
RUN --mount=type=ssh,id=work ssh-add -l
END
    build_ok --ssh "work=$T/first,$T/second" .
    expect_output first@test second@test
    expect_equal "$(grep_store "$(sed -n 3p "$T/first")")" ""
}

@test "ssh: ids, targets, modes and owners" {
    start_agent "$T/first"
    dockerfile <<'END'
FROM ssh
RUN --mount=type=ssh,id=a --mount=type=ssh,id=b,target=/b.sock,mode=0666,uid=1000,gid=2000,required \
    echo "$SSH_AUTH_SOCK" && ssh-add -l && SSH_AUTH_SOCK=/b.sock ssh-add -l && ls -ln /b.sock
USER app
RUN --mount=type=ssh,id=b,uid=1000 ssh-add -l
RUN --mount=type=ssh,id=b ! ssh-add -l
ENV SSH_AUTH_SOCK=/mine
RUN --mount=type=ssh,id=b echo "mine=$SSH_AUTH_SOCK"
END
    build_ok --ssh "a=$T/second" --ssh "b=$T/agent.sock" .
    expect_output first@test second@test /run/buildkit/ssh_agent.0 mine=/mine
    grep -qE 'srw-rw-rw-.* 1000 +2000 ' <<<"$output" || fail "owner and mode:" "$output"
}

@test "ssh: without an agent a step runs without, unless it is required" {
    dockerfile <<'END'
FROM ssh
RUN --mount=type=ssh ! ssh-add -l; ! test -e "$SSH_AUTH_SOCK"
END
    build_ok .
    printf 'FROM ssh\nRUN --mount=type=ssh,required true\n' >Dockerfile
    build_fails .
    expect_output 'unset ssh forward key default: add --ssh default' '>>> RUN --mount=type=ssh,required'
    printf 'FROM ssh\nRUN --mount=type=ssh,required=true,id=x true\n' >Dockerfile
    build_fails --ssh "y=$T/first" .
    expect_output 'unset ssh forward key x: add --ssh x'
}

@test "ssh: what --ssh cannot be" {
    local row args text
    start_agent "$T/first"
    ssh-keygen -q -t ed25519 -N geheim -f "$T/locked"
    echo no key >"$T/none"
    printf 'FROM ssh\n' >Dockerfile
    for row in "a=$T/missing|missing: No such file" \
        "a=$T/none|failed to parse $T/none" \
        "a=$T/locked|a key with a passphrase must be in an agent" \
        "a=$T/first,$T/agent.sock|invalid combination of keys and sockets" \
        "a=$T/agent.sock,$T/first|only single socket allowed"; do
        args=${row%%|*} text=${row#*|}
        build_fails --ssh "$args" .
        expect_output 'agent config for ID: "a"' "$text"
    done
    unset SSH_AUTH_SOCK
    build_fails --ssh default .
    expect_output 'invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set'
}

@test "ssh: an agent's answer is part of no key" {
    dockerfile <<'END'
FROM ssh
RUN --mount=type=ssh ssh-add -l
END
    build_ok --ssh "default=$T/first" .
    build_ok --ssh "default=$T/second" .
    expect_equal "$(n_cached)" 1
}

@test "ssh: many at a time, and those that never end" {
    start_agent "$T/first"
    dockerfile <<'END'
FROM ssh
RUN --mount=type=ssh for i in $(seq 40); do (sleep 60 | nc local:$SSH_AUTH_SOCK >/dev/null 2>&1 &) ; done; \
    for i in $(seq 8); do ssh-add -l >/out.$i & done; wait; cat /out.*
END
    build_ok --ssh default .
    expect_output first@test
}

@test "ssh: the agent of key files ends with a cob that is killed" {
    local pid agent
    dockerfile <<'END'
FROM ssh
RUN --mount=type=ssh ssh-add -l && sleep 60
END
    "$COB" build --progress=plain --ssh "default=$T/first" . >"$T/out" 2>&1 &
    pid=$!
    wait_for 20 grep -q first@test "$T/out"
    agent=$(pgrep -f "ssh-agent -D -a ${TMPDIR:-/tmp}/cob-ssh-")
    kill -9 "$pid"
    wait "$pid" || true
    wait_for 5 agent_is_gone "$agent"
    rm -rf "${TMPDIR:-/tmp}"/cob-ssh-*
}

agent_is_gone() {
    ! kill -0 "$1" 2>/dev/null
}

# An SSH server of an ordinary user's, who may log in with the first key; sets sshd_port, ssh_user,
# and sshd_home, a folder that this user can look into.
start_sshd() {
    local tar=$1 own as=()
    ssh_user=$(id -un)
    own=$(mktemp -d /var/tmp/cob-test.XXXXXX) && sshd_home=$own
    mkdir "$own/files" "$own/lib" && tar -C "$own/files" --exclude=./dev -xf "$tar"
    # only the libraries that this machine lacks: the others fit its C library
    local missing
    while missing=$(LD_LIBRARY_PATH=$own/lib ldd "$own/files/usr/sbin/sshd" | awk '/not found/ { print $1; exit }') &&
        [ -n "$missing" ]; do
        cp "$(find "$own/files" -name "$missing" | head -n 1)" "$own/lib/"
    done
    ssh-keygen -q -t ed25519 -N '' -f "$own/host" && cp "$T/first.pub" "$own/keys"
    sshd_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    printf '%s\n' "Port $sshd_port" 'ListenAddress 127.0.0.1' "HostKey $own/host" 'StrictModes no' \
        "AuthorizedKeysFile $own/keys" 'UsePAM no' 'PidFile none' >"$own/config"
    if is_root; then
        ssh_user=cob-test as=(runuser -u cob-test --)
        id cob-test >/dev/null 2>&1 || skip_or_fail 'there is no user cob-test: ./dev test makes it'
        chown -R cob-test "$own"
    fi
    "${as[@]}" env LD_LIBRARY_PATH="$own/lib" "$own/files/usr/sbin/sshd" -f "$own/config" -D -e \
        >"$T/sshd.log" 2>&1 3>&- &
    sshd_pid=$!
    wait_for 10 grep -q "Server listening" "$T/sshd.log" || fail "no server" "$(cat "$T/sshd.log")"
}

@test "ssh: a repository behind a real server is added, and is a context" {
    need_program git python3 mmdebstrap
    local tar
    tar=$("$project/tools/stand-ins" tar sshd) || skip_or_fail 'there is no package openssh-server to be had'
    start_sshd "$tar"
    git init -q -b main "$sshd_home/r" && mkdir "$sshd_home/r/sub" && echo over-ssh >"$sshd_home/r/sub/f"
    printf 'FROM scratch\nCOPY sub /c\n' >"$sshd_home/r/Dockerfile"
    git -C "$sshd_home/r" add . && git -C "$sshd_home/r" -c user.name=n -c user.email=e@example.com commit -q -m m
    ! is_root || chown -R cob-test "$sshd_home/r"
    local url=ssh://$ssh_user@localhost:$sshd_port$sshd_home/r
    printf 'FROM scratch\nADD %s#main:sub /a\n' "$url" >Dockerfile
    build_ok --ssh "default=$T/first" -o "type=local,dest=$T/out" .
    expect_file "$T/out/a/f" over-ssh
    build_ok --ssh "default=$T/first" -o "type=local,dest=$T/out2" "$url"
    expect_file "$T/out2/c/f" over-ssh
    printf 'FROM scratch\nADD %s /b\n' "$url" >Dockerfile
    build_fails --ssh "default=$T/second" --no-cache .
    expect_output 'Permission denied (publickey'
}
