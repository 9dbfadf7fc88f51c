#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Images for several platforms in one run, as far as it goes without running a container.

load ../lib/cob
setup() {
    cob_setup
    echo one >a
    dockerfile <<'END'
FROM --platform=$BUILDPLATFORM scratch AS build
COPY a /from-build
FROM scratch
ARG TARGETARCH TARGETVARIANT TARGETPLATFORM BUILDPLATFORM
LABEL built="$BUILDPLATFORM for $TARGETPLATFORM"
COPY --from=build /from-build /$TARGETARCH$TARGETVARIANT
COPY a /both
END
}
teardown() { cob_teardown; }

@test "platforms: what they share is built once, and each step says whose it is" {
    build_ok --platform linux/amd64,linux/arm64 --platform linux/arm64/v8 .
    expect_equal "$(grep -c 'COPY a /from-build' <<<"$output")" 1 'steps of the build stage'
    expect_equal "$(grep -c 'load build context' <<<"$output")" 1 'contexts'
    expect_output 'linux/amd64 stage-1 1/2] COPY --from=build /from-build /amd64' \
        '[linux/arm64 stage-1 1/2] COPY --from=build /from-build /arm64' \
        '[linux/arm64 stage-1 2/2] COPY a /both'
}

@test "platforms: one alone has no platform in its names" {
    build_ok --platform linux/arm64 .
    expect_output '[build 1/1] COPY a /from-build' ' 1/2] COPY --from=build /from-build /arm64'
    [[ $output != *'[linux/'* ]] || fail 'a step names its platform' "$output"
}

@test "platforms: the store has an image of each under one name" {
    local first
    build_ok --platform linux/amd64,linux/arm/v7 -t two --metadata-file "$T/metadata" --iidfile "$T/id" .
    run "$COB" images --no-trunc --format '{{.Repository}} {{.ID}}'
    expect_equal "$(wc -l <<<"$output")" 2 'rows'
    expect_equal "$(cut -d' ' -f1 <<<"$output" | sort -u)" two 'names'
    expect_equal "$(jq -r 'to_entries[] | select(.key | startswith("containerimage.config.digest/")) |
        "two " + .value' "$T/metadata" | sort)" "$(sort <<<"$output")" 'ids in the metadata'
    expect_equal "$(jq -r 'keys | join(" ")' "$T/metadata")" \
        'buildx.build.ref containerimage.config.digest containerimage.config.digest/linux/amd64 containerimage.config.digest/linux/arm/v7 containerimage.digest image.name' 'keys'
    first=$(jq -r '."containerimage.config.digest/linux/amd64"' "$T/metadata")
    [ "$(uname -m)" != x86_64 ] || expect_equal "$(cat "$T/id")" "$first" '--iidfile'
    run "$COB" images --format '{{.Platform}}'
    expect_equal "$(sort <<<"$output")" $'linux/amd64\nlinux/arm/v7' 'platforms'
    build_ok --platform linux/amd64,linux/arm/v7 -t two .
    run "$COB" images -q
    expect_equal "$(wc -l <<<"$output")" 2 'rows after another build'
}

@test "platforms: rmi takes one by its id, and all by their name" {
    build_ok --platform linux/amd64,linux/arm64 -t two --metadata-file "$T/metadata" .
    run "$COB" rmi "$(jq -r '."containerimage.config.digest/linux/arm64"' "$T/metadata")"
    expect_status 0
    run "$COB" images --format '{{.Repository}} {{.Platform}}'
    expect_exact 'two linux/amd64'
    build_ok --platform linux/amd64,linux/arm64 -t two .
    run "$COB" rmi two
    expect_exact 'Untagged: two:latest'
    run "$COB" images -q
    expect_exact ''
}

@test "platforms: an OCI layout has an index with a manifest each" {
    local dir=$T/oci index
    mkdir "$dir"
    build_ok --platform linux/amd64,linux/arm/v7 -t two -o type=oci,dest="$T/two.tar" .
    expect_output 'exporting manifest list sha256:'
    tar -C "$dir" -xf "$T/two.tar"
    expect_equal "$(jq -r '.manifests | length' "$dir/index.json")" 1 'entries of index.json'
    expect_equal "$(jq -r '.manifests[0].mediaType' "$dir/index.json")" \
        application/vnd.oci.image.index.v1+json 'what it names'
    index=$(jq -r '.manifests[0].digest' "$dir/index.json")
    expect_equal "$(jq -c '[.manifests[].platform | .os + "/" + .architecture + "/" + .variant]' \
        "$dir/blobs/${index/:/\/}")" '["linux/amd64/","linux/arm/v7"]' 'platforms'
    command -v skopeo >/dev/null || return 0
    run skopeo inspect --override-arch arm --config --format '{{.Architecture}} {{.Config.Labels.built}}' \
        "oci-archive:$T/two.tar"
    expect_status 0
    expect_output 'arm linux/' ' for linux/arm/v7'
}

@test "platforms: a folder and a tar have a subfolder each, unless platform-split=false" {
    build_ok --platform linux/amd64,linux/arm/v7 -o "$T/out" .
    expect_equal "$(cd "$T/out" && find . -type f | sort | tr '\n' ' ')" \
        './linux_amd64/amd64 ./linux_amd64/both ./linux_arm_v7/armv7 ./linux_arm_v7/both ' 'folder'
    build_ok --platform linux/amd64,linux/arm/v7 -o type=tar,dest="$T/out.tar" .
    expect_equal "$(tar -tf "$T/out.tar" | tr '\n' ' ')" \
        'linux_amd64/ linux_amd64/amd64 linux_amd64/both linux_arm_v7/ linux_arm_v7/armv7 linux_arm_v7/both ' 'tar'
    build_ok --platform linux/amd64,linux/arm/v7 -o type=local,dest="$T/merged",platform-split=false .
    expect_equal "$(cd "$T/merged" && find . -type f | sort | tr '\n' ' ')" './amd64 ./armv7 ./both ' 'merged'
    build_ok --platform linux/arm64 -o type=local,dest="$T/one",platform-split=true .
    expect_equal "$(cd "$T/one" && find . -type f | sort | tr '\n' ' ')" \
        './linux_arm64/arm64 ./linux_arm64/both ' 'one that is split'
}

@test "platforms: hard links in a split tar stay together" {
    dockerfile base.Dockerfile <<'END'
FROM scratch
ADD links.tar /
END
    mkdir links && echo x >links/one && ln links/one links/two
    tar -cf links.tar links
    build_ok -f base.Dockerfile --platform linux/amd64,linux/arm64 -o type=tar,dest="$T/out.tar" .
    mkdir "$T/x" && tar -C "$T/x" -xf "$T/out.tar"
    expect_equal "$(stat -c %h "$T/x/linux_amd64/links/one" "$T/x/linux_arm64/links/two" | tr '\n' ' ')" '2 2 ' 'links'
}

@test "platforms: docker's format refuses several before anything is built" {
    build_fails --platform linux/amd64,linux/arm64 -o type=docker,dest="$T/x.tar" .
    expect_output 'docker exporter does not currently support exporting manifest lists'
    [[ $output != *COPY* ]] || fail 'a step was begun' "$output"
    build_ok --platform linux/arm64 -o type=docker,dest="$T/x.tar" .
}

@test "platforms: bad ones are named" {
    local word want
    while IFS='|' read -r word want; do
        build_fails --platform "$word" .
        expect_output "$want"
    done <<'END'
linux/amd64,nonsense|--platform nonsense: "nonsense": unknown operating system or architecture
linux/amd64/v1/x|cannot parse platform specifier
linux/amd64,|--platform : "": cannot parse platform specifier
END
}

@test "platforms: an error in one of them says in which" {
    dockerfile <<'END'
FROM scratch
ARG TARGETVARIANT
LABEL variant="${TARGETVARIANT:?it has none}"
END
    build_fails --platform linux/arm/v7,linux/amd64 .
    expect_output 'Dockerfile:3' 'failed to solve: linux/amd64: ' 'it has none'
    build_ok --platform linux/arm/v7 .
}

@test "platforms: steps for a machine that nothing emulates fail before they run" {
    local handlers
    handlers=$(ls /proc/sys/fs/binfmt_misc 2>/dev/null)
    [[ $handlers != *loong* ]] || skip 'the kernel knows an emulator'
    mkdir "$T/bin"
    dockerfile <<'END'
FROM scratch
COPY a /a
RUN ["/a"]
END
    PATH=$T/bin run "$COB" build --progress=plain --platform linux/loong64 .
    [ "$status" -eq 1 ] || fail "exit $status" "$output"
    expect_output 'ERROR: failed to solve: this machine cannot run programs of linux/loong64: install an emulator (Debian: apt install qemu-user-static binfmt-support)' \
        'Dockerfile:3'
}

@test "platforms: BUILDKIT_MULTI_PLATFORM gives one the form of several" {
    build_ok --platform linux/arm64 --build-arg BUILDKIT_MULTI_PLATFORM=1 -o "type=oci,dest=$T/o.tar" \
        -o "type=local,dest=$T/l" .
    expect_output '[linux/arm64 stage-1 2/2] COPY a /both'
    expect_equal "$(ls "$T/l")" linux_arm64 'folders'
    index=$(tar -xOf "$T/o.tar" "blobs/$(tar -xOf "$T/o.tar" index.json | jq -r '.manifests[0].digest' | tr : /)")
    expect_equal "$(jq -r '.manifests[0].platform.architecture' <<<"$index")" arm64 'the index'
    build_fails --build-arg BUILDKIT_MULTI_PLATFORM=1 -o type=docker,dest=- .
    expect_output 'docker exporter does not currently support exporting manifest lists'
    build_fails --build-arg BUILDKIT_MULTI_PLATFORM=perhaps .
    expect_output 'ERROR: failed to solve: invalid boolean value for multi-platform: perhaps'
    build_fails --platform linux/arm64,linux/amd64 --build-arg BUILDKIT_MULTI_PLATFORM=false .
    expect_output 'conflicting config: returning multiple target platforms is not allowed'
    build_ok --platform linux/arm64 --build-arg BUILDKIT_MULTI_PLATFORM=1 \
        --build-arg BUILDKIT_MULTI_PLATFORM=0 .
    refuse_output '[linux/arm64 '
    build_ok --platform linux/arm64,linux/amd64 --build-arg BUILDKIT_MULTI_PLATFORM= .
    build_fails --build-arg BUILDKIT_DISABLE_FILEOP=1 .
    expect_output 'support for "BUILDKIT_DISABLE_FILEOP" build-arg was removed in BuildKit 0.11'
}

@test "platforms: the version of an OS is part of one" {
    dockerfile <<'END'
FROM scratch
ARG TARGETOSVERSION TARGETPLATFORM
COPY <<EOF /os
$TARGETOSVERSION $TARGETPLATFORM
EOF
END
    build_ok --platform 'windows(1.2.3)/bar,windows(1.1.0)/bar' -o "type=local,dest=$T/l" .
    expect_file "$T/l/windows(1.2.3)_bar/os" '1.2.3 windows(1.2.3)/bar'
    expect_file "$T/l/windows(1.1.0)_bar/os" '1.1.0 windows(1.1.0)/bar'
    build_fails --platform 'windows(1.2/bar' .
    expect_output '"windows(1.2" is an invalid OS component of "windows(1.2/bar"'
}
