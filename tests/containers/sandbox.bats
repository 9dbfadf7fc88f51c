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
    for link in etc/resolv.conf etc/hosts etc dev proc sys tmp run dev/null dev/pts dev/shm proc/self proc/sys sys/fs; do
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
}

@test "sandbox: a WORKDIR among the descriptors of the runtime is refused" {
    local dir
    for dir in $(seq -f '/proc/self/fd/%g' 0 24) /proc/self/cwd/.. /proc/1/root /proc/thread-self/fd/7 /fds/7; do
        printf 'FROM busybox\nRUN ln -s /proc/self/fd /fds\nWORKDIR %s\nRUN ls -la . ..; cat cob.db\n' "$dir" >Dockerfile
        build_fails .
        expect_output 'belongs to the sandbox'
        refuse_output cob.db-wal SQLite
    done
}

@test "sandbox: files of an image where others are expected do not block, and lead nowhere" {
    local what
    for what in 'mkfifo /x/etc/hosts' 'mkfifo /x/etc/resolv.conf' 'ln -s /proc/sys/kernel/core_pattern /x/dev/null' \
        'ln -s /proc/self/fd/0 /x/etc/hosts' 'ln -s /dev/stdin /x/etc/resolv.conf' 'ln -s /proc/1/environ /x/etc/hosts' \
        'mkdir /x/etc/hosts' 'mkfifo /x/etc/group' 'ln -s hosts /x/etc/hosts'; do
        printf 'FROM busybox AS b\nRUN mkdir -p /x/etc /x/dev && %s\nFROM scratch\nCOPY --from=b /bin /bin\nCOPY --from=b /x /\nRUN echo x >/dev/null; cat /etc/hosts </dev/null; echo ran\n' "$what" >Dockerfile
        local before
        before=$(cat /proc/sys/kernel/core_pattern)
        run timeout 20 "$COB" build --progress=plain .
        [ "$status" -le 1 ] || fail "$what: exit code $status" "$output"
        refuse_output COB_ROOT
        expect_equal "$(cat /proc/sys/kernel/core_pattern)" "$before" core_pattern
    done
}

@test "sandbox: no environment but the step's is in sight, and the runtime is not to be changed" {
    local sum runtime=${COB_TEST_RUNTIME_PATH:-$(command -v crun || command -v runc)}
    sum=$(sha256sum "$runtime")
    dockerfile <<'END'
FROM busybox
RUN cat /proc/*/environ | tr '\0' '\n' | sort -u
RUN for exe in /proc/[0-9]*/exe; do echo changed >>$exe; done 2>/dev/null; true
RUN ["/proc/self/exe", "--version"]
END
    export HOST_TOKEN=hOsT-tOkEn-$RANDOM$RANDOM
    build .
    refuse_output "$HOST_TOKEN" COB_ROOT DOCKER_CONFIG
    expect_line '#[0-9]+ [0-9.]+ PATH=/usr/local/sbin.*'
    expect_equal "$(sha256sum "$runtime")" "$sum" "$runtime"
}

@test "sandbox: labels and annotations of an image are not the runtime's" {
    mkdir "$T/canary" && chmod 777 "$T/canary"
    dockerfile <<END
FROM busybox
LABEL run.oci.hooks.stdout=$T/canary/x run.oci.hooks.stderr=$T/canary/y run.oci.systemd.force_cgroup_v1=/sys/fs/cgroup run.oci.seccomp_bpf_data= run.oci.handler=krun run.oci.mount_context_type=rootcontext
RUN grep Seccomp: /proc/self/status
END
    build_ok .
    expect_line '#[0-9]+ [0-9.]+ Seccomp:.2'
    expect_equal "$(ls "$T/canary")" '' 'the canary'
}

# With any device that an image brings: also with those that the cgroup allows, the root has none.
@test "sandbox: device nodes of an image and of a step open nothing" {
    need_program python3
    python3 - dev.tar <<'END'
import sys, tarfile
with tarfile.open(sys.argv[1], "w") as tar:
    for name, major, minor, kind in (("null", 1, 3, tarfile.CHRTYPE), ("mem", 1, 1, tarfile.CHRTYPE),
                                     ("zero", 1, 5, tarfile.CHRTYPE), ("disk", 254, 0, tarfile.BLKTYPE)):
        info = tarfile.TarInfo("d/" + name)
        info.type, info.mode, info.devmajor, info.devminor = kind, 0o666, major, minor
        tar.addfile(info)
END
    dockerfile <<'END'
FROM busybox
ADD dev.tar /
RUN ls -l /d; for f in /d/*; do head -c 1 $f >/tmp/out && [ -s /tmp/out ] && echo "read $f"; (: >>$f) && [ ! -f $f ] && echo "wrote $f"; done 2>/dev/null; echo end
RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t for d in /c /t /tmp; do mknod $d/z c 1 5 && head -c 1 $d/z >/tmp/out && [ -s /tmp/out ] && echo "read $d/z"; done 2>/dev/null; echo end
END
    build_ok .
    expect_line '#[0-9]+ [0-9.]+ end'
    ! grep -E '^#[0-9]+ [0-9.]+ (read|wrote) ' <<<"$output" || fail "$output"
}

# The memory cgroup that cob and the step are in, with a limit; v1 or v2. $memory is its folder.
make_memory_limit() { # bytes
    local own
    own=$(sed -nE 's/^[0-9]+:([^:]*,)?memory(,[^:]*)?:(.*)$/\3/p' /proc/self/cgroup)
    if [ -n "$own" ]; then
        memory=/sys/fs/cgroup/memory$own/cob-test-$BASHPID
        mkdir "$memory" && echo "$1" >"$memory/memory.limit_in_bytes"
    else
        memory=/sys/fs/cgroup/cob/test-$BASHPID
        mkdir -p "$memory" && echo +memory >/sys/fs/cgroup/cob/cgroup.subtree_control && echo "$1" >"$memory/memory.max"
    fi || skip_or_fail 'no memory cgroup can be made'
}

@test "memory: a step that runs out of it says so, and cob goes on" {
    need_root
    local memory
    make_memory_limit 100M 2>/dev/null
    printf 'FROM busybox\nRUN awk %s || exit 3\n' "'BEGIN { s = \"0123456789abcdef\"; while (1) s = s s }'" >Dockerfile
    # shellcheck disable=SC2016
    run sh -c 'echo 0 >"$0/cgroup.procs" && exec timeout 60 "$COB" build --progress=plain .' "$memory"
    rmdir "$memory/cob" "$memory" 2>/dev/null || true
    expect_status 1
    expect_output 'did not complete successfully: cannot allocate memory: it ran out, and the kernel ended a process of the step: exit code: 3'
    printf 'FROM busybox\nRUN exit 137\n' >Dockerfile
    build_fails .
    expect_output 'did not complete successfully: exit code: 137'
}

# Without a cgroup of its own, all that is known is that the machine killed something meanwhile.
@test "memory: an unprivileged user's step that is killed for want of it says that it seems so" {
    need_root
    id cob-test >/dev/null 2>&1 || skip_or_fail 'there is no user cob-test: ./dev test makes it'
    local memory own
    make_memory_limit 100M 2>/dev/null
    own=$(mktemp -d /var/tmp/cob-test.XXXXXX) # the test's own folder is root's alone
    cp "$COB" "$own/cob" && mkdir "$own/ctx" && cp /bin/busybox "$own/ctx/"
    printf 'FROM scratch\nCOPY busybox /bin/\nRUN ["/bin/busybox", "awk", "BEGIN { s = \\"0123456789abcdef\\"; while (1) s = s s }"]\n' >"$own/ctx/Dockerfile"
    chmod -R a+rX "$own" && chown cob-test "$own"
    # shellcheck disable=SC2016
    run sh -c 'cd "$1" && echo 0 >"$0/cgroup.procs" && exec timeout 60 runuser -u cob-test -- env COB_ROOT="$1/root" HOME="$1" "$1/cob" build --progress=plain ctx' "$memory" "$own"
    rmdir "$memory" 2>/dev/null || true
    rm -rf "$own"
    expect_status 1
    expect_output 'cannot allocate memory, it seems: the machine ran out of it meanwhile, and the kernel ended a process: exit code: 137'
}

# cob_cgroups: the folders that hold the leaves of steps.
cob_cgroups() {
    local dir
    for dir in /sys/fs/cgroup/cob /sys/fs/cgroup/devices/cob /sys/fs/cgroup/unified/cob; do
        [ ! -d "$dir" ] || echo "$dir"
    done
}

@test "cgroups: a step's number of processes is bounded" {
    need_root
    printf 'FROM busybox\nRUN echo in-the-step; sleep 3\n' >Dockerfile
    "$COB" build --progress=plain . >"$T/log" 2>&1 3>&- &
    local pid=$! max
    wait_for 20 grep -q '[0-9] in-the-step' "$T/log"
    max=$(find /sys/fs/cgroup/pids /sys/fs/cgroup/cob -path "*/cob/$pid-*" -name pids.max -exec cat {} + 2>/dev/null | sort -u)
    kill -INT "$pid" || true
    wait "$pid" || true
    [ -n "$max" ] || skip_or_fail 'no pids cgroup here'
    expect_equal "$(grep -xc 16384 <<<"$max")" 1 pids.max
}

@test "cgroups: those of a killed cob are removed, and those of a living one in another pid namespace are not" {
    need_root
    printf 'FROM busybox\nRUN true\n' >Dockerfile
    build_ok .
    local dir n=0
    for dir in $(cob_cgroups); do
        n=$((n + 1))
        mkdir "$dir/4194300-held" "$dir/4194300-free"
        exec 9<"$dir/4194300-held" && flock -s 9
        build_ok --no-cache .
        exec 9<&-
        [ -d "$dir/4194300-held" ] || fail "a living one's was removed in $dir"
        [ ! -d "$dir/4194300-free" ] || fail "a dead one's was kept in $dir"
        build_ok --no-cache .
        [ ! -d "$dir/4194300-held" ] || fail "it was kept in $dir when the lock was gone"
    done
    [ "$n" -gt 0 ] || skip_or_fail 'no cgroups can be made here'
}

@test "sandbox: users that are none are errors, and never root" {
    local user
    # shellcheck disable=SC2016
    printf 'FROM busybox\nARG U\nUSER $U\nRUN id -u\n' >Dockerfile
    for user in 4294967296 2147483648 -1 0x0 ' 0' 1: :1 root:x nobody-here root:nogroup-here 0:4294967296 \
        99999999999999999999 "$(printf '0\n1')" /0 +0 0.0; do
        build --build-arg "U=$user" .
        [ "$status" -eq 1 ] || fail "USER $user: exit code $status" "$output"
    done
}

@test "sandbox: groups are those of the image's files, with the first among them" {
    dockerfile <<'END'
FROM busybox
RUN printf 'a:x:2001:app\nb:x:2002:other,app\nc:x:2003:other\nd:x:2004:\n' >>/etc/group && echo other:x:1005:2003::/:/bin/sh >>/etc/passwd
USER app
RUN echo "app $(id -G | tr ' ' '\n' | sort | xargs)"
USER other:d
RUN echo "other $(id -G)"
USER 1005
RUN echo "1005 $(id -G | tr ' ' '\n' | sort | xargs)"
USER 1005:4000
RUN echo "1005:4000 $(id -G)"
END
    build_ok .
    expect_line '#[0-9]+ [0-9.]+ app 1000 2000 2001 2002'
    expect_line '#[0-9]+ [0-9.]+ other 2004'
    expect_line '#[0-9]+ [0-9.]+ 1005 2002 2003'
    expect_line '#[0-9]+ [0-9.]+ 1005:4000 4000'
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
