#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Steps and containers of another machine, under qemu-user. As root and without.

load ../lib/cob

setup() {
    cob_setup
    [ "$(uname -m)" != aarch64 ] || skip 'arm64 is nothing foreign here'
    need_program qemu-aarch64-static mmdebstrap
    "$project/tools/stand-ins" tar busybox-arm64 >"$T/made" 2>&1 ||
        skip_or_fail 'no busybox for arm64: no Debian mirror can be reached'
}
teardown() { cob_teardown; }

arm64_image() { # [NAME]
    "$project/tools/stand-ins" image busybox-arm64 "${1:-arm}" ||
        skip_or_fail 'no busybox for arm64'
}

@test "foreign platform: steps run, and find each other's programs" {
    arm64_image
    dockerfile <<'END'
FROM arm
RUN uname -m >/machine && /bin/uname -m | grep -q aarch64
RUN ["/bin/busybox", "touch", "/exec-form"]
RUN id -u app | grep -q 1000 && echo other:x:1234:1234::/:/bin/sh >>/etc/passwd && chown other:app /machine
RUN mkdir /d && chown app:app /d && ln /machine /linked && mkfifo /fifo && chmod 4755 /bin/busybox
RUN printf '#!/bin/sh\necho script of $(uname -m)\n' >/script && chmod 755 /script && /script >/script-says
RUN sleep 100 & kill %1; wait; (exit 7) || echo $? >/code
USER app
RUN id -u >/tmp/user
END
    build_ok --platform linux/arm64 -t got .
    run "$COB" run --rm --platform arm64 got sh -c \
        'cat /machine /script-says /code /tmp/user; stat -c "%U %h" /d; stat -c %U:%G /linked; exit 9'
    expect_status 9
    expect_output aarch64 other:app 'script of aarch64' 7 1000 'app 2'
}

@test "foreign platform: the sandbox holds" {
    arm64_image
    dockerfile <<'END'
FROM arm
RUN if mknod /sda b 8 0 2>/dev/null; then echo a device was made; exit 1; fi
RUN if unshare -U true 2>/dev/null; then echo a user namespace was made; exit 1; fi
RUN if mount -t tmpfs x /tmp 2>/dev/null; then echo it was mounted; exit 1; fi
RUN if echo x >/proc/sys/kernel/hostname 2>/dev/null; then echo a sysctl was set; exit 1; fi
RUN --mount=type=secret,id=s [ "$(cat /run/secrets/s)" = word ]
RUN --mount=type=cache,target=/cache echo kept >>/cache/x
RUN --network=none [ "$(ls /sys/class/net)" = lo ]
END
    printf word >secret
    build_ok --platform linux/arm64 --secret id=s,src=secret .
}

@test "foreign platform: the machine's binfmt_misc is left alone" {
    arm64_image
    need_root
    local before after
    before=$(ls /proc/sys/fs/binfmt_misc)
    printf 'FROM arm\nRUN uname -m\n' >Dockerfile
    build_ok --platform linux/arm64 .
    after=$(ls /proc/sys/fs/binfmt_misc)
    expect_equal "$after" "$before" binfmt_misc
}

@test "foreign platform: the emulator is part of no key" {
    arm64_image
    printf 'FROM arm\nRUN uname -m >/x\n' >Dockerfile
    build_ok --platform linux/arm64 .
    mkdir "$T/bin" && ln -s "$(command -v qemu-aarch64-static)" "$T/bin/qemu-aarch64-static"
    PATH=$T/bin:$PATH build_ok --platform linux/arm64 .
    grep -F -A1 'RUN uname' <<<"$output" | grep -q CACHED || fail 'it ran again' "$output"
}

@test "foreign platform: a failing step is one, with its exit code" {
    arm64_image
    printf 'FROM arm\nRUN echo said; exit 42\n' >Dockerfile
    build_fails --platform linux/arm64 .
    expect_output said 'exit code: 42' 'Dockerfile:2'
}

@test "two platforms: steps of both run in one build" {
    busybox_image both
    arm64_image both
    dockerfile <<'END'
FROM --platform=$BUILDPLATFORM both AS build
ARG TARGETARCH
RUN uname -m >/built-on && echo $TARGETARCH >/built-for
FROM both
COPY --from=build /built-on /built-for /
RUN uname -m >/ran-on
END
    build_ok --platform linux/amd64,linux/arm64 -t two .
    run "$COB" run --rm --platform linux/arm64 two cat /built-on /built-for /ran-on
    expect_exact "$(uname -m)"$'\narm64\naarch64'
    run "$COB" run --rm two cat /built-for /ran-on
    expect_exact "amd64"$'\n'"$(uname -m)"
    run "$COB" run --rm --platform linux/s390x two true
    expect_status 125
}

@test "an image of another platform alone is run, with docker's warning" {
    arm64_image
    run "$COB" run --rm arm uname -m
    expect_status 0
    expect_output aarch64 "The requested image's platform (linux/arm64) does not match the detected host platform (linux/amd64)"
}

@test "cross-compiling: one toolchain, two machines" {
    [ -r /var/cache/cob-tests/golang.tar ] || need_debian_mirror
    "$project/tools/stand-ins" image golang golang:1.21-bullseye
    cat >main.go <<'END'
package main

import (
	"fmt"
	"runtime"
)

func main() { fmt.Println("compiled for", runtime.GOARCH) }
END
    printf 'module example.org/m\n' >go.mod
    dockerfile <<'END'
FROM --platform=$BUILDPLATFORM golang:1.21-bullseye AS build
WORKDIR /src
COPY . .
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/root/.cache/go-build CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /app .
FROM scratch AS program
COPY --from=build /app /app
RUN ["/app"]
ENTRYPOINT ["/app"]
END
    build_ok --platform linux/amd64,linux/arm64 -t tool .
    expect_equal "$(grep -c '\] COPY \. \.$' <<<"$output")" 1 'copies of the source'
    expect_output 'compiled for arm64' 'compiled for amd64' 'linux/amd64->arm64 build'
    run "$COB" run --rm --platform linux/arm64 tool
    expect_exact 'compiled for arm64'
    run "$COB" run --rm tool
    expect_exact 'compiled for amd64'
}

@test "foreign platform: --security=insecure, as far as the emulator's namespace goes" {
    arm64_image
    dockerfile <<'END'
FROM arm
RUN --security=insecure uname -m | grep aarch64 && grep CapEff /proc/self/status && \
    mkdir -p /m && mount -t tmpfs none /m && touch /m/x && umount /m && echo was mounted
RUN uname -m >/after && ls -d /m && ! mount -t tmpfs none /m
END
    build_fails --platform linux/arm64 .
    expect_output 'security.insecure is not allowed: add --allow security.insecure'
    build_ok --platform linux/arm64 --allow security.insecure -t got .
    expect_output aarch64 'was mounted'
    refuse_output 'CapEff:	0000000000000000'
    run "$COB" run --rm --platform arm64 got cat /after
    expect_exact aarch64
}
