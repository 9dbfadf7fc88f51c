#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a step can see and do, how it ends, and its network.

load ../lib/cob
setup() { cob_setup && busybox_image; }
teardown() { cob_teardown; }

# facts SCRIPT: a step that runs it; $output is what it printed, without the step's number and times.
facts() {
    printf '%s\n' "$1" >probe.sh
    printf 'FROM busybox\nCOPY probe.sh /\nRUN sh /probe.sh\n' >Dockerfile
    build_ok "${@:2}" .
    output=$(sed -nE 's/^#[0-9]+ [0-9]+\.[0-9]+ //p' <<<"$output")
}

@test "sandbox: capabilities, seccomp and process tree are those of the design" {
    facts 'grep -E "^(Cap|Seccomp:|NoNewPrivs)" /proc/self/status; echo "pids: $(ls -d /proc/[0-9]* | wc -l)"; echo fds: $(ls /proc/self/fd)'
    expect_line 'CapInh:.0+'
    expect_line 'CapPrm:.00000000a80425fb'
    expect_line 'CapEff:.00000000a80425fb'
    expect_line 'CapBnd:.00000000a80425fb'
    expect_line 'CapAmb:.0+'
    expect_line 'Seccomp:.2'
    expect_line 'fds: 0 1 2 3' # 3 is the listing's own
    [ "$(sed -n 's/^pids: //p' <<<"$output")" -le 6 ]
}

@test "sandbox: another USER has no capabilities" {
    printf 'FROM busybox\nUSER app\nRUN grep -E "^Cap" /proc/self/status\n' >Dockerfile
    build_ok .
    expect_line '#[0-9]+ [0-9.]+ CapEff:.0+'
    expect_line '#[0-9]+ [0-9.]+ CapPrm:.0+'
    expect_line '#[0-9]+ [0-9.]+ CapInh:.0+'
}

@test "sandbox: masked and read-only paths, /dev, /sys" {
    facts '
for f in /proc/kcore /proc/keys /proc/timer_list /proc/latency_stats; do [ ! -e $f ] || [ "$(head -c1 $f 2>/dev/null | wc -c)" = 0 ] || echo "readable: $f"; done
for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/fs/cgroup/x /proc/irq/x; do (echo x >$f) 2>/dev/null && echo "writable: $f"; done
for f in null zero full random urandom tty; do [ -c /dev/$f ] || echo "missing: /dev/$f"; done
for f in /dev/vda /dev/sda /dev/mem /dev/kmsg /dev/fuse /dev/kvm; do [ ! -e $f ] || echo "there: $f"; done
mount -t tmpfs x /tmp 2>/dev/null && echo "can mount"
unshare -U true 2>/dev/null && echo "can make a user namespace"
chroot / true && echo "chroot works"
ls -d /sys/firmware/* 2>/dev/null
echo done'
    expect_exact 'chroot works
done'
}

@test "sandbox: a device node does not open the host's disk" {
    need_root
    facts 'mknod /tmp/disk b 254 0 2>/dev/null; dd if=/tmp/disk of=/dev/null bs=1 count=1 2>/dev/null && echo "read the disk"; mknod /tmp/mem c 1 1 2>/dev/null; dd if=/tmp/mem of=/dev/null bs=1 count=1 2>/dev/null && echo "read memory"; echo done'
    expect_exact 'done'
}

@test "sandbox: hosts, resolv.conf and hostname, and none of them stays in the image" {
    printf 'FROM busybox\nRUN cat /etc/hosts; test -s /etc/resolv.conf; hostname\nRUN rm -f /etc/none\n' >Dockerfile
    build_ok --add-host=thing:10.1.2.3 -o "type=tar,dest=$T/o.tar" .
    expect_output 127.0.0.1 localhost 10.1.2.3 thing buildkitsandbox
    run tar -tf "$T/o.tar"
    refuse_output etc/hosts etc/resolv.conf
}

@test "sandbox: the image's links do not lead to the host" {
    mkdir "$T/canary" && echo untouched >"$T/canary/f"
    local link
    for link in etc/resolv.conf etc/hosts etc dev proc sys tmp run; do
        rm -rf root && mkdir -p "root/$(dirname "$link")"
        ln -s "$T/canary" "root/$link"
        tar -cf root.tar -C root .
        printf 'FROM busybox AS b\nFROM scratch\nCOPY --from=b /bin /bin\nADD root.tar /\nRUN echo ran\n' >Dockerfile
        run timeout 30 "$COB" build --progress=plain .
        [ "$status" -le 1 ]
        expect_equal "$(ls "$T/canary")" f "the canary after /$link"
        expect_file "$T/canary/f" untouched
    done
}

@test "sandbox: a WORKDIR through a link makes its folder in the image" {
    mkdir "$T/canary"
    printf 'FROM busybox\nRUN ln -s %s/canary /w\nWORKDIR /w/x\nUSER 1000\nWORKDIR /w/y\nRUN pwd\n' "$T" >Dockerfile
    build .
    expect_equal "$(ls "$T/canary")" '' 'the canary'
    printf 'FROM busybox\nWORKDIR /proc/self/fd/5\nRUN ls\n' >Dockerfile
    build .
    refuse_output cob.db
}

@test "sandbox: users that are none are errors, and never root" {
    local user
    for user in 4294967296 2147483648 -1 0x0 nobody-here root:nogroup-here 99999999999999999999; do
        printf 'FROM busybox\nUSER %s\nRUN id -u\n' "$user" >Dockerfile
        build .
        [ "$status" -eq 1 ] || fail "USER $user: exit code $status" "$output"
    done
}

@test "sandbox: a passwd that is a pipe, a device or a link outside does not block or leak" {
    local kind
    for kind in 'mkfifo /etc/passwd' 'ln -s /proc/self/mem /etc/passwd' 'ln -s /etc/passwd /etc/passwd' 'mkdir /etc/passwd'; do
        printf 'FROM busybox\nRUN rm /etc/passwd; %s\nUSER somebody\nRUN id -u\n' "$kind" >Dockerfile
        run timeout 20 "$COB" build --progress=plain .
        expect_status 1
    done
}

@test "network: none has loopback only, host must be allowed" {
    # shellcheck disable=SC2016
    printf 'FROM busybox\nRUN --network=none echo links=$(ls /sys/class/net 2>/dev/null || ip -o link | wc -l)\n' >Dockerfile
    build_ok .
    expect_line '#[0-9]+ [0-9.]+ links=(lo|1)'
    printf 'FROM busybox\nRUN --network=host true\n' >Dockerfile
    build_fails .
    expect_output '--allow network.host'
    build_ok --allow network.host .
    build_fails --network=host .
}

@test "network: the host's loopback is out of reach" {
    need_program python3
    python3 -c '
import http.server, sys
s = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
open(sys.argv[1], "w").write(str(s.server_port)); s.serve_forever()' "$T/port" >/dev/null 2>&1 3>&- &
    local pid=$!
    wait_for 10 test -s "$T/port"
    # shellcheck disable=SC2016
    printf 'FROM busybox\nRUN for a in 127.0.0.1 10.0.2.2; do wget -T 3 -qO- http://$a:%s/ && echo REACHED; done; true\n' "$(cat "$T/port")" >Dockerfile
    build .
    kill "$pid"
    expect_status 0
    ! grep -qE '^#[0-9]+ [0-9.]+ REACHED' <<<"$output"
}

@test "network: apt-get in a RUN reaches its mirror" {
    need_debian_mirror
    "$project/tools/stand-ins" image debian debian:12
    printf 'FROM debian:12\nRUN apt-get update && apt-get install -y --no-install-recommends hello && hello\n' >Dockerfile
    run timeout 180 "$COB" build --progress=plain .
    expect_status 0
    expect_output 'Hello, world!'
}

# Start a build of a step that ignores what it can, and wait until it runs.
start_stubborn() {
    printf '%s\n' 'trap "" INT TERM HUP' 'setsid sh -c "while true; do sleep 1; done" &' 'echo in-the-step' \
        'echo x >>/c/n' 'while true; do sleep 0.2; done' >stubborn.sh
    printf 'FROM busybox\nCOPY stubborn.sh /\nRUN --mount=type=cache,target=/c sh /stubborn.sh\n' >Dockerfile
    "$COB" build --progress=plain . >"$T/log" 2>&1 3>&- &
    build_pid=$!
    wait_for 20 grep -q '[0-9] in-the-step' "$T/log"
}

# The cache mount is as the killed step left it, and free.
still_counts() {
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c,sharing=locked test -s /c/n # %s\n' "$1" >Dockerfile
    run timeout 20 "$COB" build --progress=plain .
    expect_status 0
}

@test "cancel: SIGINT and SIGTERM end everything within two seconds; exit codes 130 and 143" {
    local signal code want begin
    for signal in INT TERM; do
        start_stubborn
        begin=$EPOCHREALTIME
        kill "-$signal" "$build_pid"
        code=0
        wait "$build_pid" || code=$?
        awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { exit b - a > 2 }' || fail "took more than 2 s to end"
        want=$([ $signal = INT ] && echo 130 || echo 143)
        expect_equal "$code" "$want" 'exit code'
        expect_nothing_left
        grep -q CANCELED "$T/log" || fail 'no CANCELED in the log:' "$(cat "$T/log")"
        still_counts "$signal"
    done
}

@test "kill -9: the step dies with cob, and the next build goes on" {
    start_stubborn
    kill -KILL "$build_pid"
    wait "$build_pid" || true
    expect_nothing_left
    still_counts KILL
}
