#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What cob writes, judged by skopeo, umoci, tar and buildah.

load ../lib/cob
setup() {
    cob_setup && busybox_image
    mkdir -p "$T/tmp" && export TMPDIR=$T/tmp
}
teardown() { cob_teardown; }

# An image with a bit of everything that a layer can hold.
rich_dockerfile() {
    echo content >f && ln -sf f l
    dockerfile <<'END'
FROM busybox
RUN mkdir -p /d/sub && echo 1 >/d/a && ln /d/a /d/hard && ln -s /d/a /d/soft && mkfifo /d/pipe && chmod 4755 /d/a \
    && touch -d '2001-02-03 04:05:06' /d/sub && echo gone >/gone && mkdir /opq && touch /opq/old
RUN rm /gone && rm -r /opq && mkdir /opq && touch /opq/new && chown 12:34 /d/sub
COPY f /d/copied
ENV A=b
LABEL one=two
CMD ["sh"]
END
}

@test "oci archive: skopeo reads, copies and checks it" {
    need_program skopeo jq
    rich_dockerfile
    build_ok -t rich:1 -o "type=oci,dest=$T/o.tar" .
    run skopeo inspect "oci-archive:$T/o.tar"
    expect_status 0
    expect_equal "$(jq -r .Labels.one <<<"$output")" two
    run skopeo inspect --config "oci-archive:$T/o.tar"
    expect_status 0
    expect_equal "$(jq -c .config.Cmd <<<"$output")" '["sh"]'
    expect_equal "$(jq -r '.rootfs.diff_ids | length' <<<"$output")" \
        "$(jq -r '[.history[] | select(.empty_layer | not)] | length' <<<"$output")" 'layers and history'
    run skopeo copy --insecure-policy "oci-archive:$T/o.tar" "dir:$T/dir"
    expect_status 0
}

@test "oci archive: umoci unpacks it to the tree that the image has" {
    need_program umoci jq skopeo
    need_root
    rich_dockerfile
    build_ok -t rich:1 -o "type=oci,dest=$T/o.tar" .
    skopeo copy -q --insecure-policy "oci-archive:$T/o.tar" "oci:$T/layout:x"
    run umoci unpack --image "$T/layout:x" "$T/bundle"
    expect_status 0
    local root=$T/bundle/rootfs
    [ ! -e "$root/gone" ] && [ ! -e "$root/opq/old" ] && [ -e "$root/opq/new" ]
    expect_equal "$(stat -c '%a %h' "$root/d/a")" '4755 2' 'mode and links of /d/a'
    expect_equal "$(readlink "$root/d/soft")" /d/a
    [ -p "$root/d/pipe" ]
    expect_equal "$(stat -c '%u:%g' "$root/d/sub")" 12:34 'owner of /d/sub'
    expect_file "$root/d/copied" content
}

@test "oci archive: no whiteout, overlay attribute or socket of the store is in a plain layer" {
    need_program jq
    rich_dockerfile
    build_ok -o "type=oci,dest=$T/o.tar" .
    mkdir "$T/o" && tar -C "$T/o" -xf "$T/o.tar"
    local layer names
    for layer in "$T"/o/blobs/sha256/*; do
        [ "$(head -c 2 "$layer" | od -An -tx1)" = ' 1f 8b' ] || continue
        names=$(tar -tzf "$layer") || fail "tar cannot read ${layer##*/}"
        ! gzip -dc "$layer" | grep -qa 'overlay\.\(opaque\|redirect\|origin\)'
    done
    [ -n "$names" ]
}

@test "docker archive: skopeo reads it, with its name" {
    need_program skopeo jq
    rich_dockerfile
    build_ok -t rich:1 -o "type=docker,dest=$T/d.tar" .
    run skopeo inspect --config "docker-archive:$T/d.tar"
    expect_status 0
    run tar -xOf "$T/d.tar" manifest.json
    expect_equal "$(jq -r '.[0].RepoTags[0]' <<<"$output")" rich:1
    run skopeo copy --insecure-policy "docker-archive:$T/d.tar" "oci:$T/from-docker:x"
    expect_status 0
}

@test "tar and local: the same tree as cob run sees" {
    rich_dockerfile
    build_ok -t rich -o "type=tar,dest=$T/t.tar" -o "type=local,dest=$T/l" .
    mkdir "$T/x"
    tar -C "$T/x" --no-same-owner -xf "$T/t.tar"
    expect_file "$T/x/d/copied" content
    expect_file "$T/l/d/copied" content
    expect_equal "$(cd "$T/x" && find . | LC_ALL=C sort)" "$(cd "$T/l" && find . | LC_ALL=C sort)" 'names in tar and local'
    diff -r --no-dereference "$T/x/bin" "$T/l/bin"
    in_image rich 'find / -xdev | sed "s/^/./" | grep -vE "^\./(proc|sys|dev|etc/(hosts|resolv.conf))(/|$)" | sed "s/^\.\/$/./" | sort'
    expect_equal "$(cd "$T/x" && find . | grep -vE '^\./(proc|sys|dev)$' | LC_ALL=C sort)" \
        "$(LC_ALL=C sort <<<"$output" | grep -vE '^\./(proc|sys|dev)$')" 'names in tar and in a container'
}

@test "local as root: setuid bits and devices do not reach the host" {
    need_root
    printf 'FROM busybox\nRUN cp /bin/busybox /suid && chmod 4755 /suid && mknod /disk b 254 0\n' >Dockerfile
    build_ok -o "type=local,dest=$T/l" .
    [ -e "$T/l/suid" ] && [ ! -u "$T/l/suid" ] && [ ! -b "$T/l/disk" ]
}

@test "the same build gives the same bytes" {
    rich_dockerfile
    printf 'FROM busybox\nCOPY f /x\nENV A=b\n' >Dockerfile
    touch -d @1000000000 f
    build_ok -t one -o "type=tar,dest=$T/1.tar" .
    build_ok --no-cache -t one -o "type=tar,dest=$T/2.tar" .
    cmp "$T/1.tar" "$T/2.tar"
}

# Trees of COPY, by cob and by buildah: names, types, modes, owners, sizes.
@test "COPY: buildah has the same tree" {
    need_root
    need_program buildah
    mkdir -p a/b/c a/empty && echo 1 >a/b/f && echo 2 >a/g && ln -s b/f a/link && chmod 640 a/g && echo top >top
    tar -cf arch.tar a
    dockerfile <<'END'
FROM scratch
COPY a /one
COPY a/ /two/
COPY a/b/f a/g /three/
COPY top /four
COPY top /five/
COPY --chown=3:4 a /six
COPY a/*  /seven/
ADD arch.tar /eight/
WORKDIR /nine/ten
COPY top .
COPY . /all
END
    build_ok -o "type=tar,dest=$T/cob.tar" .
    local buildah=(env -u DOCKER_CONFIG buildah --root "$T/b" --runroot "$T/br" --storage-driver vfs) id
    "${buildah[@]}" bud -q --isolation oci --runtime runc --layers=false -t x . >"$T/log" 2>&1 || { cat "$T/log" && skip_or_fail 'buildah does not work here'; }
    id=$("${buildah[@]}" from --pull-never localhost/x)
    mkdir "$T/cob" && tar -C "$T/cob" --same-owner -xpf "$T/cob.tar"
    local mine theirs
    mine=$(cd "$T/cob" && find . -mindepth 1 -printf '%p %y %m %U:%G %l\n' | LC_ALL=C sort)
    theirs=$(cd "$("${buildah[@]}" mount "$id")" && find . -mindepth 1 -printf '%p %y %m %U:%G %l\n' | LC_ALL=C sort)
    "${buildah[@]}" umount "$id" >/dev/null
    "${buildah[@]}" rm "$id" >/dev/null
    expect_equal "$(diff <(echo "$mine") <(echo "$theirs") || true)" '' 'what differs (cob <, buildah >)'
}
