#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What steps may have beyond the usual: --security, --network, --device; --ulimit and its like.

load ../lib/cob
setup() { cob_setup && busybox_image; }
teardown() { cob_teardown; }

run_line() { # FLAGS-AND-COMMAND
    printf 'FROM busybox\nRUN %s\n' "$1" >Dockerfile
}

@test "--security=insecure takes two keys, and says so loudly" {
    run_line '--security=insecure id'
    build_fails .
    expect_output 'security.insecure is not allowed: add --allow security.insecure' '>>> RUN --security=insecure id'
    build_ok --allow security.insecure .
    expect_output 'runs without a sandbox, as --allow security.insecure permits'
    build_fails . # also when the step is cached
    run_line '--security=sandbox grep Seccomp: /proc/self/status'
    build_ok --allow security.insecure .
    expect_output 'Seccomp:'
    refuse_output 'without a sandbox'
}

@test "--security=insecure: capabilities, no filter, no masks" {
    local own
    own=$(sed -n 's/^CapEff:\t0*//p' /proc/self/status)
    is_root || own=$(unshare --user --map-root-user sed -n 's/^CapEff:\t0*//p' /proc/self/status)
    run_line '--security=insecure grep -E "Cap|Seccomp:" /proc/self/status; mount | grep -E " /sys| /proc/" ; echo done'
    build_ok --allow security.insecure .
    for name in Inh Prm Eff Bnd Amb; do
        grep -qE "Cap$name:.0*$own\$" <<<"$output" || fail "Cap$name: wanted $own" "$output"
    done
    grep -qE 'Seccomp:.0$' <<<"$output" || fail "a filter is there" "$output"
    refuse_output 'on /proc/' 'on /sys type sysfs (ro'
    run_line 'grep -E "CapEff|CapAmb|Seccomp:" /proc/self/status; mount | grep " /proc/"'
    build_ok .
    expect_output 'on /proc/'
    grep -qE 'CapEff:.00000000a80425fb$' <<<"$output" || fail "capabilities of the sandbox" "$output"
    grep -qE 'Seccomp:.2$' <<<"$output" || fail "no filter" "$output"
}

@test "--security=insecure: mounting, and devices" {
    run_line '--security=insecure mkdir /m && mount -t tmpfs none /m && touch /m/x && umount /m && echo mounted'
    build_ok --allow security.insecure .
    expect_output mounted
    run_line 'mkdir /m && mount -t tmpfs none /m'
    build_fails .
    need_root
    run_line '--security=insecure ls -l /dev && mknod /null c 1 3 && echo x >/null && echo written'
    build_ok --allow security.insecure .
    expect_output written fuse kmsg loop-control loop0
}

@test "--network: default, none and host, of the step and of the build" {
    local row flag args want
    for row in "||own" "none||none" "host||denied" "host|--allow network.host|host" \
        "|--network=none|none" "default|--network=none|none" "host|--network=none|denied" \
        "|--network=host|denied" "|--network=host --allow network.host|host" \
        "none|--network=host --allow network.host|none"; do
        flag=${row%%|*} args=${row#*|} want=${args#*|} args=${args%|*}
        run_line "${flag:+--network=$flag} readlink /proc/self/ns/net; cat /proc/net/route | wc -l; : '$row'"
        # shellcheck disable=SC2086
        build $args .
        case $want in
        denied)
            expect_status 1
            expect_output 'add --allow network.host'
            ;;
        host)
            expect_status 0
            expect_output "$(readlink /proc/self/ns/net)"
            ;;
        *)
            expect_status 0
            refuse_output "$(readlink /proc/self/ns/net)"
            ;;
        esac
    done
}

@test "--device: those that need not be there are left out" {
    run_line '--device=vendor.com/gpu=all echo without'
    build_ok .
    expect_output without
    run_line '--device=vendor.com/gpu=all,required echo without'
    build_fails --allow device .
    expect_output 'required device "vendor.com/gpu=all" is not registered: CDI devices are not supported'
}

@test "--allow: what it cannot be" {
    run_line true
    build_fails --allow everything .
    expect_output '--allow everything: unknown entitlement: there are network.host, security.insecure and device'
}

@test "--ulimit" {
    run_line 'ulimit -n; ulimit -Hn; ulimit -c; ulimit -t'
    build_ok --ulimit nofile=100:200 --ulimit cpu=77 .
    expect_output ' 100' ' 200' ' 77'
    build_ok --ulimit nofile=1:2 --ulimit nofile=64 .
    expect_output ' 64'
    refuse_output ' 100'
    build_ok --ulimit cpu=77 --ulimit nofile=100:200 .
    expect_equal "$(n_cached)" 1
}

@test "--ulimit: -1 is none" {
    run_line 'echo "\"rlimits\":[9223372036854775807]"; grep -E "cpu time|stack size" /proc/self/limits | tr -s " "'
    build_ok --ulimit cpu=-1 --ulimit stack=4194304:-1 .
    expect_output 'Max cpu time unlimited unlimited' 'Max stack size 4194304 unlimited' '"rlimits":[9223372036854775807]'
}

@test "--ulimit, --shm-size, --add-host: what they cannot be" {
    local row args text
    run_line true
    for row in "--ulimit nofile|invalid ulimit argument: nofile" \
        "--ulimit files=1|invalid ulimit type: files" \
        "--ulimit nofile=1:2:3|too many limit value arguments - 1:2:3" \
        "--ulimit nofile=a|nofile=a: a limit is a number" \
        "--ulimit nofile=|a limit is a number" \
        "--ulimit nofile=2:1|soft limit must be less than or equal to hard limit: 2 > 1" \
        "--ulimit nofile=-1:1|soft: -1 (unlimited), hard: 1" \
        "--shm-size much|--shm-size: invalid size: 'much'" \
        "--add-host name|invalid host name" \
        "--add-host name:|invalid host name:" \
        "--add-host name:1.2.3|invalid host name:1.2.3" \
        "--add-host name=1.2.3.4,x|invalid host name=1.2.3.4,x" \
        "--add-host name:host-gateway|host-gateway is not supported"; do
        args=${row%%|*} text=${row#*|}
        # shellcheck disable=SC2086
        build_fails $args .
        expect_output "$text"
    done
}

@test "--shm-size" {
    run_line 'df -k /dev/shm | tail -1; touch /dev/shm/x'
    build_ok --shm-size 3m .
    expect_output 3072
    build_ok .
    expect_output 65536
}

@test "--add-host: forms of addresses" {
    run_line 'cat /etc/hosts'
    build_ok --add-host One:10.0.0.1 --add-host two=fe80::1 --add-host 'three:[fe80::2]' \
        --add-host four:10.0.0.4,fe80::4 .
    expect_line '.*10\.0\.0\.1.one'
    expect_line '.*fe80::1.two'
    expect_line '.*fe80::2.three'
    expect_line '.*10\.0\.0\.4.four'
    expect_line '.*fe80::4.four'
}

@test "--cgroup-parent: steps run below it" {
    local parent=cob-test-$$
    run_line 'echo in'
    if ! is_root; then
        build_fails --cgroup-parent "/$parent" .
        expect_output "only root can put steps into cgroups: leave --cgroup-parent out"
        return
    fi
    build_ok --cgroup-parent "/$parent/inner" .
    compgen -G "/sys/fs/cgroup*/$parent/inner/cob" >/dev/null ||
        compgen -G "/sys/fs/cgroup/*/$parent/inner/cob" >/dev/null || fail "no cgroup $parent/inner"
    find /sys/fs/cgroup -depth -type d -path "*/$parent*" -exec rmdir {} +
    run_line 'echo out'
    build_fails --cgroup-parent "/../x" .
    expect_output 'it must not have .. in it'
}
