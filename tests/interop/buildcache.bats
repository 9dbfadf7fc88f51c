#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Build caches in registries, buckets and images: a second machine builds the Go example from them.

load ../lib/cob
load ../lib/registry.sh

setup_file() {
    shared_store_make
    local name ref
    for name in golang:golang:1.21-bullseye debian:ubuntu:22.04; do
        ref=${name#*:}
        name=${name%%:*}
        COB_ROOT=$SHARED_STORE/root "$project/tools/stand-ins" image "$name" "$ref" || return 1
        printf 'FROM %s\n' "$ref" >"$BATS_FILE_TMPDIR/$name.Dockerfile"
        mkdir -p "$BATS_FILE_TMPDIR/empty"
        COB_ROOT=$SHARED_STORE/root "$COB" build -q -f "$BATS_FILE_TMPDIR/$name.Dockerfile" \
            -o "type=oci,dest=$SHARED_STORE/$name,tar=false" "$BATS_FILE_TMPDIR/empty" >/dev/null || return 1
    done
}
teardown_file() { shared_store_remove; }
setup() {
    cob_setup
    need_program docker-registry skopeo jq
    mkdir -p "$T/tmp" && export TMPDIR=$T/tmp
    base=(--build-context "golang:1.21-bullseye=oci-layout://$SHARED_STORE/golang"
        --build-context "ubuntu:22.04=oci-layout://$SHARED_STORE/debian")
}
teardown() {
    registry_stop
    [ -z "${s3_pid:-}" ] || { kill "$s3_pid" || :; wait "$s3_pid" 2>/dev/null || :; }
    cob_teardown
}

# The machine that has built it before; all tests share it.
first_machine() {
    cp -r "$project/examples/go/." .
    shared_store_use
}
second_machine() {
    COB_ROOT=$store/root
}

# all_cached: every step of both stages is.
all_cached() {
    local step
    for step in 'WORKDIR /app' 'COPY go.mod .' 'COPY go.sum .' 'RUN go mod download' 'COPY . .' 'go build -o app' \
        'RUN mkdir /app' 'COPY --from=builder /app/app .'; do
        id=$(grep -m1 -F "$step" <<<"$output" | cut -d ' ' -f 1)
        grep -qxF "$id CACHED" <<<"$output" || fail "not from the cache: $step" "$output" || return 1
    done
}

runs() { # the image works
    run "$COB" run --rm hello
    expect_status 0
    expect_output 'hello from an image that cob built'
}

n_blobs_got() {
    grep -c 'GET /v2/[^ ]*/blobs/' "$REGISTRY_DIR/log" || true
}

@test "registry: every step is cached on a second machine, and only the result's layers are got" {
    registry_start plain
    first_machine
    build_ok "${base[@]}" -t hello --cache-to "type=registry,ref=$REGISTRY/cache:main,mode=max" .
    expect_output 'exporting cache to registry' 'writing cache image manifest'
    second_machine
    : >"$REGISTRY_DIR/log"
    build_ok "${base[@]}" -t hello --cache-from "$REGISTRY/cache:main" .
    expect_output "importing cache manifest from $REGISTRY/cache:main"
    all_cached
    # the config of the cache, and the layers of the result: ubuntu, mkdir, WORKDIR, the app
    expect_equal "$(n_blobs_got)" 5 'blobs that were asked for'
    runs
    # from here, too: all that is new is a config without the builder's layers
    : >"$REGISTRY_DIR/log"
    build_ok "${base[@]}" -t hello --cache-to "type=registry,ref=$REGISTRY/cache:main,mode=min" .
    expect_equal "$(grep -c 'PUT /v2/cache/blobs/uploads' "$REGISTRY_DIR/log")" 1 'blobs that were sent'
}

@test "local: every step is cached on a second machine" {
    first_machine
    build_ok "${base[@]}" -t hello --cache-to "type=local,dest=$T/cache,mode=max" .
    second_machine
    build_ok "${base[@]}" -t hello --cache-from "type=local,src=$T/cache" .
    all_cached
    runs
    # skopeo finds it sound: each blob has its digest
    skopeo inspect --raw "oci:$T/cache:latest" | jq -e '.config.mediaType == "application/vnd.buildkit.cacheconfig.v0"'
    (cd "$T/cache/blobs/sha256" && for blob in *; do echo "$blob  $blob"; done | sha256sum --check --quiet)
}

@test "inline: every step of the image's stage is cached on a second machine, and so is what led there" {
    registry_start plain
    first_machine
    build_ok "${base[@]}" -t hello --build-arg BUILDKIT_INLINE_CACHE=1 -o "type=oci,dest=$T/hello,tar=false" .
    skopeo copy -q --insecure-policy --dest-tls-verify=false "oci:$T/hello:latest" "docker://$REGISTRY/hello:v1"
    second_machine
    build_ok "${base[@]}" -t hello --cache-from "type=registry,ref=$REGISTRY/hello:v1" .
    all_cached
    runs
}

@test "s3: every step is cached on a second machine; the config is BuildKit's, with annotations" {
    python3 -c 'import botocore' 2>/dev/null || skip_or_fail 'no botocore'
    mkfifo "$T/s3.in" "$T/s3.out"
    python3 "$project/tests/lib/s3_server.py" "$T/s3.log" <"$T/s3.in" >"$T/s3.out" 3>&- &
    s3_pid=$!
    exec 9>"$T/s3.in"
    local port bucket
    read -r port <"$T/s3.out"
    bucket="type=s3,bucket=cache,region=us-test-1,endpoint_url=http://127.0.0.1:$port,use_path_style=true,name=app,access_key_id=AKIDTEST,secret_access_key=SECRETCANARY"
    first_machine
    build_ok "${base[@]}" -t hello --cache-to "$bucket,mode=max" .
    expect_output 'exporting cache to Amazon S3' 'writing layer sha256:'
    refuse_output SECRETCANARY
    second_machine
    : >"$T/s3.log"
    build_ok "${base[@]}" -t hello --cache-from "$bucket" .
    all_cached
    refuse_output SECRETCANARY
    expect_equal "$(grep -c 'GET /cache/blobs/' "$T/s3.log")" 4 'blobs that were asked for'
    runs
    exec 9>&-
}

@test "a base image that another program wrote travels with the cache, as its registry has it" {
    registry_start plain
    local tar
    tar=$("$project/tools/stand-ins" tar busybox)
    python3 - "$tar" "$T/foreign" <<'END'
import gzip, hashlib, io, json, os, sys, tarfile
source, out = sys.argv[1:]
os.makedirs(out + "/blobs/sha256")
plain = io.BytesIO()
with tarfile.open(source) as old, tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as new:
    for member in reversed(old.getmembers()):  # no order that cob would choose
        member.uname = member.gname = "somebody"
        new.addfile(member, old.extractfile(member) if member.isreg() else None)
def blob(data):
    digest = hashlib.sha256(data).hexdigest()
    with open(f"{out}/blobs/sha256/{digest}", "wb") as file:
        file.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}
layer = blob(gzip.compress(plain.getvalue(), 6, mtime=0))
config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]}, "rootfs": {
    "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain.getvalue()).hexdigest()]}}).encode())
manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **layer}]}).encode())
with open(out + "/index.json", "w") as file:
    json.dump({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "annotations": {"org.opencontainers.image.ref.name": "v1"}, **manifest}]}, file)
with open(out + "/oci-layout", "w") as file:
    file.write('{"imageLayoutVersion":"1.0.0"}')
END
    skopeo copy -q --insecure-policy --dest-tls-verify=false "oci:$T/foreign:v1" "docker://$REGISTRY/foreign:v1"
    printf 'FROM %s/foreign:v1\nRUN echo made >/made\n' "$REGISTRY" >Dockerfile
    COB_ROOT=$store/first
    build_ok -t app --cache-to "type=local,dest=$T/cache,mode=max" .
    refuse_output 'WARN'
    expect_equal "$(jq '.layers | length' "$T"/cache/blobs/sha256/"$(jq -r '.manifests[0].digest' "$T/cache/index.json" | cut -d : -f 2)")" 2 layers
    # an image that is here already is asked for its layer, too
    build_ok -t app --cache-to "type=local,dest=$T/again,mode=max" .
    diff -r "$T/cache/blobs" "$T/again/blobs"
    second_machine
    build_ok -t app --cache-from "type=local,src=$T/cache" .
    grep -A9 -F 'RUN echo made' <<<"$output" | grep -q CACHED || fail 'it ran' "$output"
    in_image app 'cat /made'
    expect_exact made
}

@test "a registry that does not answer costs a warning, before and after" {
    dockerfile <<<'FROM scratch
COPY Dockerfile /'
    local port
    port=$(registry_free_port)
    build_ok -t app --cache-from "localhost:$port/cache" --cache-to "type=registry,ref=localhost:$port/cache" .
    expect_output "--cache-from localhost:$port/cache" 'it is not used' 'its cache was not exported'
}
