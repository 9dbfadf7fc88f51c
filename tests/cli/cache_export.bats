#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --cache-to and --cache-from with a folder: a second machine is another store.

load ../lib/cob

setup() {
    cob_setup
    need_program jq
    cache=$T/cache
}
teardown() {
    cob_teardown
}

# Another machine: nothing of this one's store, or of a second one's before it.
second_machine() {
    remove_tree "$store/second"
    COB_ROOT=$store/second
}

# A build of two stages without a base image, whose steps need no container.
two_stages() {
    dockerfile <<'END'
FROM scratch AS builder
COPY one.txt /one
COPY two.txt /two
FROM scratch
COPY --from=builder /two /copied
COPY last.txt /last
END
    echo one >one.txt && echo two >two.txt && echo last >last.txt
}

manifest_of() { # folder
    local digest
    digest=$(jq -r '.manifests[0].digest' "$1/index.json")
    echo "$1/blobs/${digest/://}"
}
config_of_cache() { # folder
    local digest
    digest=$(jq -r '.config.digest // (.manifests[] | select(.mediaType | contains("cacheconfig")) | .digest)' "$(manifest_of "$1")")
    echo "$1/blobs/${digest/://}"
}
id_of() { # image
    "$COB" images --no-trunc --format '{{.Repository}} {{.ID}}' | awk -v name="$1" '$1 == name { print $2 }'
}

# put_blob FOLDER: a blob of standard input. Prints its descriptor's digest.
put_blob() {
    local digest
    cat >"$T/put_blob"
    digest=$(sha256sum "$T/put_blob" | cut -d ' ' -f 1)
    cp "$T/put_blob" "$1/blobs/sha256/$digest"
    echo "sha256:$digest"
}

# change_manifest FOLDER JQ-FILTER: another manifest in its place.
change_manifest() {
    local digest size
    jq -c "$2" "$(manifest_of "$1")" >"$T/manifest"
    size=$(stat -c %s "$T/manifest")
    digest=$(put_blob "$1" <"$T/manifest")
    jq -c --arg digest "$digest" --argjson size "$size" \
        '.manifests[0].digest = $digest | .manifests[0].size = $size' "$1/index.json" >"$T/index"
    cp "$T/index" "$1/index.json"
}

# change_config FOLDER JQ-FILTER: another config, and a manifest for it.
change_config() {
    local digest size
    jq -c "$2" "$(config_of_cache "$1")" >"$T/config"
    size=$(stat -c %s "$T/config")
    digest=$(put_blob "$1" <"$T/config")
    change_manifest "$1" ".config.digest = \"$digest\" | .config.size = $size"
}

# n_cached: how many steps of the last build, beside FROM, came from the cache, fetched or not.
n_cached() {
    awk '/^#[0-9]+ CACHED$/ { cached[$1] } /^#[0-9]+ \[/ { from[$1] = /\] (FROM|OCI load)/ }
        END { for (id in cached) n += !from[id]; print n + 0 }' <<<"$output"
}

is_cached() { # step
    local id
    id=$(grep -m1 -F "[$1]" <<<"$output" | cut -d ' ' -f 1)
    grep -qxF "$id CACHED" <<<"$output"
}

n_warnings() {
    grep -c 'WARN' <<<"$output" || true
}

@test "a second machine has every step cached, fetches the result alone, and makes the same image" {
    two_stages
    build_ok -t app --cache-to "type=local,dest=$cache,mode=max" .
    expect_output 'exporting cache to client directory' 'preparing build cache for export' \
        'writing layer sha256:' 'writing config sha256:' 'writing cache image manifest sha256:'
    local first
    first=$(id_of app)
    # what only the builder stage has is taken away: nobody may ask for it
    jq -r '.layers[] | select(.annotations["buildkit/description"] | contains("[builder")) | .digest' \
        "$(manifest_of "$cache")" | sed 's/sha256://' >"$T/builders"
    expect_equal "$(wc -l <"$T/builders")" 2 'layers of the builder'
    (cd "$cache/blobs/sha256" && xargs rm -- <"$T/builders")
    second_machine
    build_ok -t app --cache-from "type=local,src=$cache" .
    expect_output "importing cache manifest from local:$cache"
    expect_equal "$(n_cached)" 4 'cached steps'
    expect_equal "$(n_warnings)" 0 warnings
    expect_equal "$(id_of app)" "$first" 'image id'
    build_ok -t app . # and from now on it needs no cache
    expect_equal "$(n_cached)" 4 'cached steps without the cache'
    echo new >last.txt # the steps whose layers came along are recorded as well
    build_ok .
    is_cached 'stage-1 1/2' || fail 'what came along is not known' "$output"
}

@test "a file that changed: what stands before it is fetched, what follows runs" {
    two_stages
    build_ok --cache-to "type=local,dest=$cache,mode=max" .
    second_machine
    echo changed >two.txt
    build_ok -t app --cache-from "type=local,src=$cache" .
    expect_equal "$(n_cached)" 1 'cached steps'
    "$COB" build -q -o "$T/out" --cache-from "type=local,src=$cache" . >/dev/null
    expect_file "$T/out/copied" changed
    expect_file "$T/out/last" last
}

@test "COPY --from hits although the stage that it copies from ran again, with equal files" {
    two_stages
    build_ok --cache-to "type=local,dest=$cache,mode=max" .
    second_machine
    echo other >one.txt
    build_ok --cache-from "type=local,src=$cache" .
    is_cached 'stage-1 1/2' || fail 'COPY --from ran' "$output"
    is_cached 'stage-1 2/2' || fail 'what follows it ran' "$output"
    ! is_cached 'builder 1/2' || fail 'the changed step is cached' "$output"
}

@test "mode=min has the layers of the result and no others; mode=max has all" {
    two_stages
    build_ok --cache-to "type=local,dest=$cache" --cache-to "type=local,dest=$T/max,mode=max" .
    expect_equal "$(jq '.layers | length' "$(manifest_of "$cache")")" 2 'layers of min'
    expect_equal "$(jq '.layers | length' "$(manifest_of "$T/max")")" 4 'layers of max'
    second_machine
    build_ok --cache-from "type=local,src=$cache" .
    expect_equal "$(n_cached)" 4 'cached steps'
}

@test "what is written is BuildKit's format" {
    two_stages
    build_ok --cache-to "type=local,dest=$cache,mode=max" .
    jq -e '.mediaType == "application/vnd.oci.image.manifest.v1+json"
        and .config.mediaType == "application/vnd.buildkit.cacheconfig.v0"
        and all(.layers[]; .mediaType == "application/vnd.oci.image.layer.v1.tar+gzip"
            and (.annotations["containerd.io/uncompressed"] | startswith("sha256:"))
            and (.annotations["buildkit/createdat"] | endswith("Z")))' "$(manifest_of "$cache")" ||
        fail "$(cat "$(manifest_of "$cache")")"
    jq -e '(.layers | all(.blob | startswith("sha256:")))
        and (.records | map(.digest) == (map(.digest) | sort))
        and (.layers | map(.blob) == (map(.blob) | sort))
        and ([.layers as $layers | .records[].layers[]?.layer] | length == 4)' "$(config_of_cache "$cache")" ||
        fail "$(cat "$(config_of_cache "$cache")")"
    jq -r '.layers[].digest' "$(manifest_of "$cache")" >"$T/in-manifest"
    jq -r '.layers[].blob' "$(config_of_cache "$cache")" >"$T/in-config"
    diff "$T/in-manifest" "$T/in-config"
}

@test "forms: an index, docker's types, zstd, uncompressed; each is read again" {
    local row options type layer
    two_stages
    while IFS='|' read -r options type layer; do
        remove_tree "$cache"
        COB_ROOT=$store/root
        build_ok --cache-to "type=local,dest=$cache,mode=max,$options" .
        expect_equal "$(jq -r .mediaType "$(manifest_of "$cache")")" "$type" "$options"
        expect_equal "$(jq -r '(.layers // .manifests)[0].mediaType' "$(manifest_of "$cache")")" "$layer" "$options"
        second_machine
        build_ok --cache-from "type=local,src=$cache" .
        expect_equal "$(n_cached)" 4 "cached steps, $options"
    done <<'END'
image-manifest=false|application/vnd.oci.image.index.v1+json|application/vnd.oci.image.layer.v1.tar+gzip
image-manifest=false,oci-mediatypes=false|application/vnd.docker.distribution.manifest.list.v2+json|application/vnd.docker.image.rootfs.diff.tar.gzip
compression=zstd|application/vnd.oci.image.manifest.v1+json|application/vnd.oci.image.layer.v1.tar+zstd
compression=zstd,compression-level=9,force-compression=true|application/vnd.oci.image.manifest.v1+json|application/vnd.oci.image.layer.v1.tar+zstd
compression=uncompressed|application/vnd.oci.image.manifest.v1+json|application/vnd.oci.image.layer.v1.tar
compression=gzip,compression-level=9|application/vnd.oci.image.manifest.v1+json|application/vnd.oci.image.layer.v1.tar+gzip
END
}

@test "the same build writes the same bytes; blobs that are there are left alone" {
    two_stages
    build_ok --cache-to "type=local,dest=$cache,mode=max" .
    local before
    before=$(cd "$cache/blobs/sha256" && stat -c '%n %i %Y' -- * | sort)
    build_ok --cache-to "type=local,dest=$cache,mode=max" --cache-to "type=local,dest=$T/other,mode=max" .
    expect_equal "$(cd "$cache/blobs/sha256" && stat -c '%n %i %Y' -- * | sort)" "$before" blobs
    diff -r "$cache/blobs" "$T/other/blobs"
}

@test "reset=true leaves no orphans" {
    two_stages
    build_ok --cache-to "type=local,dest=$cache,mode=max" .
    echo new >two.txt
    build_ok --cache-to "type=local,dest=$cache,mode=max" .
    local n
    n=$(find "$cache/blobs/sha256" -type f | wc -l)
    build_ok --cache-to "type=local,dest=$cache,mode=max,reset=true" .
    expect_equal "$(find "$cache/blobs/sha256" -type f | wc -l)" 6 'blobs' # 4 layers, config, manifest
    [ "$n" -gt 6 ] || fail "there was nothing to sweep: $n"
    second_machine
    build_ok --cache-from "type=local,src=$cache" .
    expect_equal "$(n_cached)" 4 'cached steps'
}

@test "a build that fails has its cache exported, up to the step that failed" {
    two_stages
    echo 'COPY --from=builder /missing /missing' >>Dockerfile
    build_fails --cache-to "type=local,dest=$cache,mode=max" .
    expect_output '/missing' 'writing cache image manifest'
    second_machine
    sed -i '$d' Dockerfile
    build_ok --cache-from "type=local,src=$cache" .
    expect_equal "$(n_cached)" 4 'cached steps'
}

@test "an export that fails is a warning, or an error with ignore-error=false" {
    two_stages
    echo file >"$T/file"
    build_ok -t app --cache-to "type=local,dest=$T/file/below" .
    expect_output '--cache-to type=local' 'its cache was not exported'
    [ -n "$(id_of app)" ] || fail 'no image'
    build_fails --cache-to "type=local,dest=$T/file/below,ignore-error=false" .
    expect_output 'ERROR: failed to solve: --cache-to type=local'
}

@test "a cache that is not there costs a warning" {
    two_stages
    build_ok --cache-from "type=local,src=$T/none" .
    expect_output "--cache-from type=local,src=$T/none" 'it is not used'
    build_fails --cache-from type=locall .
    build_fails --cache-to "type=local,destt=$cache" .
    expect_output dest
}

@test "--metadata-file has the manifest of the cache" {
    two_stages
    build_ok --metadata-file "$T/meta" --cache-to "type=local,dest=$cache" .
    expect_equal "$(jq -r '.["cache.manifest"].digest' "$T/meta")" "$(jq -r '.manifests[0].digest' "$cache/index.json")"
    expect_equal "$(jq -r '.["cache.manifest"].mediaType' "$T/meta")" application/vnd.oci.image.manifest.v1+json
    expect_equal "$(jq -r '.["cache.manifest"].size' "$T/meta")" "$(stat -c %s "$(manifest_of "$cache")")"
}

@test "inline: the image is its own cache" {
    two_stages
    build_ok -t app --cache-to type=inline -o "type=oci,dest=$T/image,tar=false" .
    second_machine
    build_ok --cache-from "type=local,src=$T/image" -t app .
    expect_equal "$(n_cached)" 4 'cached steps'
    COB_ROOT=$store/root
    build_ok -t app --build-arg BUILDKIT_INLINE_CACHE=1 -o "type=oci,dest=$T/other,tar=false" .
    diff "$T/image/index.json" "$T/other/index.json"
    build_ok -t app -o "type=oci,dest=$T/plain,tar=false" .
    second_machine
    build_ok --cache-from "type=local,src=$T/plain" .
    expect_output 'it holds no build cache'
    expect_equal "$(n_cached)" 0 'cached steps'
}

@test "--no-cache trusts no cache from elsewhere" {
    two_stages
    build_ok --cache-to "type=local,dest=$cache,mode=max" .
    second_machine
    build_ok --no-cache --cache-from "type=local,src=$cache" .
    expect_equal "$(n_cached)" 0 'cached steps'
}

@test "several caches: each is asked, in their order" {
    two_stages
    build_ok --cache-to "type=local,dest=$cache,mode=max" .
    echo new >last.txt
    COB_ROOT=$store/third
    build_ok --cache-to "type=local,dest=$T/cache2,mode=min" .
    second_machine
    build_ok --cache-from "type=local,src=$T/none" --cache-from "type=local,src=$cache" --cache-from "type=local,src=$T/cache2" .
    expect_equal "$(n_cached)" 4 'cached steps'
}

# lie NAME: a copy of the cache that does not keep its word.
lie() {
    local layer blob
    remove_tree "$T/lie" && cp -r "$cache" "$T/lie"
    layer=$(jq -r '.layers[] | select(.annotations["buildkit/description"] | contains("stage-1 2/2")) | .digest' "$(manifest_of "$T/lie")" | tail -1)
    blob=$T/lie/blobs/${layer/://}
    case $1 in
    missing-blob) rm "$blob" ;;
    truncated-blob) truncate -s -1 "$blob" ;;
    other-bytes) dd if=/dev/zero of="$blob" bs=1 count=8 seek=12 conv=notrunc status=none ;;
    wrong-size) change_manifest "$T/lie" '.layers[].size += 1' ;;
    wrong-diff-id) change_manifest "$T/lie" '.layers[].annotations["containerd.io/uncompressed"] = "sha256:'"$(printf '%064d' 7)"'"' ;;
    no-diff-id) change_manifest "$T/lie" 'del(.layers[].annotations)' ;;
    blob-is-no-layer) change_manifest "$T/lie" '.layers[].digest = .config.digest | .layers[].size = .config.size' ;;
    circle) change_config "$T/lie" '.records[1].inputs = [[{"link": 1}]]' ;;
    absent-link) change_config "$T/lie" '.records[1].inputs = [[{"link": 1000}]]' ;;
    absent-layer) change_config "$T/lie" '(.records[] | select(.layers) | .layers[].layer) = 99' ;;
    layer-circle) change_config "$T/lie" '.layers[].parent = 1' ;;
    bad-digest) change_config "$T/lie" '.layers[0].blob = "sha256:../../../etc/passwd"' ;;
    many-records) python3 -c 'import json; print(json.dumps({"records": [{"digest": "sha256:" + "%064x" % n} for n in range(1000001)]}))' >"$T/many" &&
        digest=$(put_blob "$T/lie" <"$T/many") && change_manifest "$T/lie" ".config.digest = \"$digest\" | .config.size = $(stat -c %s "$T/many")" ;;
    config-is-missing) rm "$(config_of_cache "$T/lie")" ;;
    config-is-changed) printf x >>"$(config_of_cache "$T/lie")" ;;
    another-tool) change_manifest "$T/lie" '.config.mediaType = "application/vnd.other.v1"' ;;
    no-json) echo hello >"$(manifest_of "$T/lie")" ;;
    esac
}

@test "a cache that lies is ignored, told of once, and the build is right" {
    local name failed=0
    two_stages
    build_ok -t app --cache-to "type=local,dest=$cache,mode=max" .
    for name in missing-blob truncated-blob other-bytes wrong-size wrong-diff-id no-diff-id blob-is-no-layer \
        circle absent-link absent-layer layer-circle bad-digest many-records config-is-missing \
        config-is-changed another-tool no-json; do
        COB_ROOT=$store/root
        lie "$name"
        second_machine
        build -t app --cache-from "type=local,src=$T/lie" .
        if [ "$status" -ne 0 ] || [ "$(grep -c 'lie:\|src=.*lie' <<<"$output")" -gt 3 ]; then
            echo "$name: $output" >&2 && failed=1
        fi
        [[ $name == no-diff-id || $name == blob-is-no-layer ]] || grep -qE 'is not used|run instead' <<<"$output" || { echo "$name: no warning: $output" >&2 && failed=1; }
        rm -rf "$T/out"
        "$COB" build -q -o "$T/out" . >/dev/null || failed=1
        [ "$(cat "$T/out/copied" "$T/out/last")" = "$(printf 'two\nlast')" ] || { echo "$name: wrong files" >&2 && failed=1; }
    done
    [ "$failed" -eq 0 ]
}

@test "two platforms: the records of both are exported" {
    two_stages
    build_ok --platform linux/amd64,linux/arm64 --cache-to "type=local,dest=$cache,mode=max" .
    second_machine
    build_ok --platform linux/arm64 --cache-from "type=local,src=$cache" .
    expect_equal "$(n_cached)" 4 'cached steps'
    second_machine
    build_ok --platform linux/amd64 --cache-from "type=local,src=$cache" .
    expect_equal "$(n_cached)" 4 'cached steps'
}

@test "RUN: its layers travel, and a cache from elsewhere is exported again" {
    busybox_image
    printf 'FROM busybox\n' >"$T/base.Dockerfile"
    "$COB" build -q -f "$T/base.Dockerfile" -o "type=oci,dest=$T/base,tar=false" . >/dev/null
    dockerfile <<'END'
FROM busybox
RUN mkdir /d && echo one >/d/one && ln -s one /d/link
RUN rm /d/one && echo two >/d/two
END
    local base=(--build-context "busybox=oci-layout://$T/base")
    build_ok "${base[@]}" -t app --cache-to "type=local,dest=$cache,mode=max" .
    second_machine
    build_ok "${base[@]}" --cache-from "type=local,src=$cache" --cache-to "type=local,dest=$T/again,mode=max" .
    expect_equal "$(n_cached)" 2 'cached steps'
    third=$store/third
    COB_ROOT=$third
    build_ok "${base[@]}" -t app --cache-from "type=local,src=$T/again" .
    expect_equal "$(n_cached)" 2 'cached steps'
    in_image app 'ls /d; cat /d/two'
    expect_output 'link' 'two'
    refuse_output 'one'
}
