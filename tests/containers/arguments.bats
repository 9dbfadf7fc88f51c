#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ARG, --build-arg and here-documents of RUN, as steps see them.

load ../lib/cob
setup() { cob_setup && busybox_image; }
teardown() { cob_teardown; }

@test "arguments: what is global must be asked for again in a stage" {
    dockerfile <<'END'
ARG BASE=busybox
ARG GLOBAL=global
ARG ALSO
FROM $BASE AS first
RUN echo "1=$GLOBAL."
ARG GLOBAL
ARG ALSO
ARG OWN=$GLOBAL-own
RUN echo "2=$GLOBAL,$OWN,$ALSO."
FROM first
RUN echo "3=$GLOBAL,$OWN."
ARG OWN=again
ENV OWN=env
RUN echo "4=$OWN."
FROM $BASE
RUN echo "5=$GLOBAL,$OWN."
COPY --from=1 / /x
END
    build_ok --build-arg ALSO=given .
    expect_output '1=.' '2=global,global-own,given.' '3=global,global-own.' '4=env.' '5=,.'
    ALSO=environment build_ok --build-arg ALSO --build-arg OWN=mine .
    expect_output '2=global,mine,environment.' '4=env.'
}

@test "arguments: those of platforms and of the stage" {
    dockerfile <<'END'
FROM busybox AS other
FROM busybox AS built
ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT BUILDPLATFORM BUILDOS BUILDARCH TARGETSTAGE
RUN echo "1=$TARGETPLATFORM,$TARGETOS,$TARGETARCH,$TARGETVARIANT,$BUILDPLATFORM,$BUILDOS,$BUILDARCH,$TARGETSTAGE."
END
    local arch
    arch=$(dpkg --print-architecture)
    build_ok --target built .
    expect_output "1=linux/$arch,linux,$arch,,linux/$arch,linux,$arch,built."
    build_ok --build-arg TARGETARCH=mine .
    expect_output "1=linux/$arch,linux,mine,"
}

@test "arguments: proxies are there for steps, and nowhere else" {
    printf 'FROM busybox\nRUN env | grep -i _proxy | sort\n' >Dockerfile
    build_ok --build-arg HTTP_PROXY=http://one:1 --build-arg no_proxy=a.example -t proxied .
    expect_output 'HTTP_PROXY=http://one:1' 'http_proxy=http://one:1' 'NO_PROXY=a.example' 'no_proxy=a.example'
    build_ok --build-arg HTTP_PROXY=http://two:2 .
    expect_equal "$(n_cached)" 1
    build_ok .
    expect_equal "$(n_cached)" 1
    run config_of proxied '[.history, .config.Env]'
    expect_status 0
    refuse_output one:1 a.example
}

@test "arguments: BUILDKIT_SANDBOX_HOSTNAME, BUILDKIT_SYNTAX; others are let be" {
    printf '# syntax=example.com/front:1\nFROM busybox\nRUN hostname\n' >Dockerfile
    build_fails .
    expect_output 'frontend example.com/front:1 is not supported: docker/dockerfile is built in' \
        '>>> # syntax=example.com/front:1'
    build_ok --build-arg BUILDKIT_SYNTAX=docker/dockerfile:1 \
        --build-arg BUILDKIT_SANDBOX_HOSTNAME=my.host --build-arg BUILDKIT_INLINE_CACHE=1 \
        --build-arg BUILDKIT_BUILD_NAME=x .
    expect_output my.host
    printf 'FROM busybox\n' >Dockerfile
    build_fails --build-arg BUILDKIT_SYNTAX=example.com/front:2 .
    expect_output 'BUILDKIT_SYNTAX=example.com/front:2 is not supported'
}

@test "arguments: an empty BUILDKIT_SANDBOX_HOSTNAME is none; BUILDKIT_BUILD_NAME names a build to others" {
    printf 'FROM busybox\nRUN hostname\n' >Dockerfile
    build_ok --build-arg BUILDKIT_SANDBOX_HOSTNAME= .
    expect_output buildkitsandbox
    mkdir first
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c,sharing=locked echo in-the-step; sleep 2\n' >first/Dockerfile
    printf 'FROM busybox\nRUN --mount=type=cache,target=/c,sharing=locked true\n' >Dockerfile
    "$COB" build --progress=plain --build-arg BUILDKIT_BUILD_NAME='my build' first >log 2>&1 3>&- &
    wait_for 20 grep -q '[0-9] in-the-step' log
    build_ok .
    wait
    expect_output 'waiting for cache mount "/c", held by build my build (pid '
}

@test "arguments: BUILDKIT_CACHE_MOUNT_NS keeps cache mounts apart" {
    printf 'FROM busybox\nARG N\nRUN --mount=type=cache,target=/c echo "$N had: $(ls /c | tr "\\n" " ")."; touch /c/$N\n' >Dockerfile
    build_ok --build-arg N=1 .
    expect_output '1 had: .'
    build_ok --build-arg N=2 --build-arg BUILDKIT_CACHE_MOUNT_NS=mine .
    expect_output '2 had: .'
    build_ok --build-arg N=3 --build-arg BUILDKIT_CACHE_MOUNT_NS=mine .
    expect_output '3 had: 2 .'
    build_ok --build-arg N=4 --build-arg BUILDKIT_CACHE_MOUNT_NS= .
    expect_output '4 had: 1 .'
}

@test "arguments: those for a scan of packages are in no step's environment" {
    dockerfile <<'END'
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
FROM busybox AS a
ARG BUILDKIT_SBOM_SCAN_CONTEXT BUILDKIT_SBOM_SCAN_STAGE=a,b BUILDKIT_SBOM_SCAN_OTHER=o
RUN env | grep BUILDKIT
END
    build_ok -t scanned .
    expect_output BUILDKIT_SBOM_SCAN_OTHER=o
    refuse_output ' BUILDKIT_SBOM_SCAN_STAGE=' ' BUILDKIT_SBOM_SCAN_CONTEXT='
    config_of scanned .history >history
    grep -qF 'ARG BUILDKIT_SBOM_SCAN_CONTEXT=true BUILDKIT_SBOM_SCAN_STAGE=a,b BUILDKIT_SBOM_SCAN_OTHER=o' history ||
        fail "$(cat history)"
    # That they are asked for changes no step.
    build_ok --build-arg BUILDKIT_SBOM_SCAN_STAGE=true .
    expect_equal "$(n_cached)" 1
}

@test "arguments: the options of mounts are expanded" {
    dockerfile <<'END'
FROM busybox
ARG DIR=/cache SIZE=1m TYPE=tmpfs
RUN --mount=type=$TYPE,target=${DIR}/t,size=$SIZE df -k /cache/t | tail -1
RUN --mount=type=${UNSET:-cache},id=${DIR#/},target=${DIR:?},sharing=${UNSET:-locked} echo kept >/cache/f
RUN --mount=type=cache,id=cache,target=/other cat /other/f
END
    build_ok .
    expect_output 1024 kept
    printf 'FROM busybox\nRUN --mount=type=cache,target=${NO:?name-a-folder} true\n' >Dockerfile
    build_fails .
    expect_output 'NO: name-a-folder'
    printf 'FROM busybox\nRUN --mount=from=$X,target=/x true\n' >Dockerfile
    build_fails .
    expect_output "'from' doesn't support variable expansion, define alias stage instead"
}

@test "heredocs of RUN: forms" {
    dockerfile <<'END'
FROM busybox
ENV V=value
RUN <<EOF
echo "1=$V"
EOF
RUN <<"EOF"
echo "2=$V"
EOF
RUN <<-EOF
	echo 3=tabs
		echo 4=more
	EOF
RUN <<EOF
#!/bin/sh
echo "5=$0 $V"
EOF
RUN <<EOF cat > /x && cat /x
6=$V
EOF
RUN cat <<'EOF' | tr a-z A-Z
7=$V
EOF
RUN cat <<A && cat <<B && cat 3<<C <&3
8=a
A
9=b
B
10=c
C
RUN --mount=type=tmpfs,target=/t --network=none <<EOF
touch /t/f && echo "11=$(ls /t)"
EOF
RUN <<EOF
cat <<INNER
12=inner
INNER
EOF
SHELL ["/bin/busybox", "sh", "-euc"]
RUN <<EOF
echo "13=$-"
EOF
RUN sh -s one <<EOF
echo "$V=here"
EOF
END
    build_ok .
    expect_output '1=value' '2=value' '3=tabs' '4=more' '5=/dev/pipes/EOF value' '6=value' '7=$V' \
        '8=a' '9=b' '10=c' '11=f' '12=inner' '13=' 'value=here'
}

@test "binds: of stages, images and the context; what is written is dropped" {
    echo context >file
    dockerfile <<'END'
FROM busybox AS stage
RUN mkdir /d && echo stage >/d/f
FROM busybox
RUN --mount=from=stage,source=/d,target=/d,rw cat /d/f && echo new >/d/g && rm /d/f && ls /d
RUN --mount=from=stage,source=/d,target=/d ls /d && ! touch /d/x
RUN --mount=from=busybox,source=bin,target=/b /b/busybox echo "image"
RUN --mount=target=/c,readwrite=true echo changed >/c/file && cat /c/file
RUN --mount=target=/c cat /c/file && ! touch /c/x
RUN --mount=source=file,target=/one cat /one
RUN --mount=type=cache,from=stage,source=/d,target=/cache cat /cache/f
END
    build_ok --no-cache .
    expect_output 'stage' 'g' 'image' 'changed' 'context'
    expect_file file context
    ! test -e x
}
