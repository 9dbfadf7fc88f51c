#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --cache-mounts=auto, with real tools of Debian and with programs that write where theirs do.

load ../lib/cob
setup_file() {
    shared_store_make
    COB_ROOT=$SHARED_STORE/root "$project/tools/stand-ins" image golang golang:1.21-bullseye
    COB_ROOT=$SHARED_STORE/root "$project/tools/stand-ins" image debian ubuntu:22.04
    COB_ROOT=$SHARED_STORE/root "$project/tools/stand-ins" image busybox busybox
}
teardown_file() { shared_store_remove; }
setup() {
    cob_setup
    unset COB_CACHE_MOUNTS
    shared_store_use
}
teardown() { cob_teardown; }

auto_ok() { # argument...
    build_ok --cache-mounts=auto "$@"
}

# A busybox with programs of these names, each of which counts its calls in a directory and shows
# the count, its owner and its mode.
fake_tool() { # image directory name...
    local image=$1 dir=$2 name
    shift 2
    mkdir -p "$T/fake"
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nd=%s\nmkdir -p "$d" && echo x >>"$d/calls" || exit 1\necho "calls=$(grep -c x "$d/calls") owner=$(stat -c %%u:%%g:%%a "$d")"\n' \
        "$dir" >"$T/fake/tool"
    chmod +x "$T/fake/tool"
    {
        echo FROM busybox
        for name; do echo "COPY tool /bin/$name"; done
    } >"$T/fake/Dockerfile"
    "$COB" build --quiet -t "$image" "$T/fake" >/dev/null
}

@test "go example without its mount: built again after an edit with what the compiler kept" {
    cp -r "$project/examples/go/." .
    sed -i 's/^RUN --mount=[^ ]* /RUN /' Dockerfile
    ! grep -q -- --mount Dockerfile
    auto_ok -t auto-go .
    expect_output 'automatic cache mount /root/.cache/go-build' 'automatic cache mount /go/pkg/mod'
    sed -i 's/hello from an image/hello after an edit/' main.go
    # The compiler tells what it compiles: after an edit, the main package and nothing else.
    sed -i 's/go build -o app/go build -v -o app/' Dockerfile
    auto_ok -t auto-go .
    run "$COB" run --rm auto-go
    expect_output 'hello after an edit'
    auto_ok --no-cache -t auto-go .
    grep -E '^#[0-9]+ [0-9.]+ (runtime|fmt|encoding/json|net/http)$' <<<"$output" &&
        fail 'the standard library was compiled again' "$output"
    auto_ok -t auto-go .
    grep -F -A1 'RUN go build' <<<"$output" | grep -q CACHED || fail 'not from the cache' "$output"
}

@test "go example: the cache is the one of those who declare it by hand" {
    cp -r "$project/examples/go/." .
    build_ok -t by-hand .
    printf 'FROM golang:1.21-bullseye\nRUN --mount=type=cache,target=/root/.cache/go-build touch /root/.cache/go-build/by-hand\n' >Dockerfile.2
    build_ok -f Dockerfile.2 .
    printf 'FROM golang:1.21-bullseye\nRUN go vet || test -e /root/.cache/go-build/by-hand\n' >Dockerfile.3
    auto_ok -f Dockerfile.3 .
}

@test "the image has nothing of a cache, no stub, and its own times" {
    fake_tool fake-npm /root/.npm npm
    printf 'FROM fake-npm\nRUN npm ci && echo kept >/root/result\n' >Dockerfile
    auto_ok -t t -o "type=tar,dest=$T/t.tar" .
    expect_output 'automatic cache mount /root/.npm' calls=1
    run tar -tf "$T/t.tar"
    expect_output root/result
    refuse_output .npm
    printf 'FROM fake-npm\nRUN npm ci && echo again >/root/result\n' >Dockerfile
    auto_ok .
    expect_output calls=2
}

@test "a directory that the image has stays in it as it is, and a new cache begins with a copy" {
    fake_tool fake-pip /root/.cache/pip pip
    dockerfile <<'END'
FROM fake-pip
RUN mkdir -p /root/.cache/pip && echo x >/root/.cache/pip/calls && chmod 700 /root/.cache/pip
RUN pip install a
RUN grep -c x /root/.cache/pip/calls
END
    auto_ok --build-arg BUILDKIT_CACHE_MOUNT_NS=seeded .
    expect_output 'calls=2 owner=0:0:700'
    expect_line '#[0-9]+ [0-9.]+ 1'
}

@test "what is in the way is left alone, and the step runs" {
    fake_tool fake-poetry /root/.cache/pypoetry/cache poetry
    dockerfile <<'END'
FROM fake-poetry
RUN mkdir -p /root/.cache && echo file >/root/.cache/pypoetry
RUN poetry install; cat /root/.cache/pypoetry
END
    auto_ok .
    refuse_output 'automatic cache mount'
    expect_line '#[0-9]+ [0-9.]+ file'
    dockerfile <<'END'
FROM fake-poetry
RUN mkdir -p /root/.cache && ln -s /proc/1 /root/.cache/pypoetry
RUN poetry install; echo went on
END
    auto_ok .
    expect_output 'went on'
}

@test "a user's caches are in his home, and his" {
    fake_tool fake-user '$HOME/.npm' npm
    dockerfile <<'END'
FROM fake-user
RUN mkdir /srv && echo 'bob:x:1234:5678:bob:/srv/bob:/bin/sh' >>/etc/passwd && mkdir /srv/bob && chown 1234:5678 /srv/bob
USER bob
RUN npm ci && mkdir /srv/bob/.config
RUN npm ci; ls -a /srv/bob | tr '\n' ' '
END
    auto_ok -t user .
    expect_output 'automatic cache mount /srv/bob/.npm (uid 1234)' 'calls=1 owner=1234:5678:755' calls=2
    in_image user 'ls -a /srv/bob | tr "\n" " "'
    refuse_output .npm
}

@test "turning them on runs a step once more, and only once" {
    fake_tool fake-on /root/.npm npm
    printf 'FROM fake-on\nRUN npm ci; echo on\n' >Dockerfile
    build_ok .
    expect_output calls=1
    auto_ok --build-arg BUILDKIT_CACHE_MOUNT_NS=on .
    expect_output 'automatic cache mount' calls=1
    auto_ok --build-arg BUILDKIT_CACHE_MOUNT_NS=on .
    refuse_output calls=
    build_ok .
    refuse_output calls=
}

@test "apt: packages are kept although the image has them thrown away, and its files are as before" {
    need_program dpkg-deb dpkg-scanpackages
    mkdir -p repo/pool package/DEBIAN package/usr/share/cob-test
    printf 'Package: cob-test\nVersion: 1\nArchitecture: all\nMaintainer: cob <cob@localhost>\nDescription: a test\n' >package/DEBIAN/control
    echo installed >package/usr/share/cob-test/file
    dpkg-deb --root-owner-group --build package repo/pool/cob-test_1_all.deb >/dev/null
    (cd repo && dpkg-scanpackages pool >Packages 2>/dev/null)
    rm -r package
    # The file of Debian's images, and a repository that apt copies packages out of.
    cat >docker-clean <<'END'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
    cat >Dockerfile.base <<'END'
FROM ubuntu:22.04
COPY docker-clean /etc/apt/apt.conf.d/docker-clean
COPY repo /repo
RUN rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] copy:/repo ./' >/etc/apt/sources.list
END
    build_ok -f Dockerfile.base -t apt-base .
    dockerfile <<'END'
FROM apt-base
RUN apt-get update && apt-get install -y cob-test && cat /usr/share/cob-test/file && ls /var/cache/apt/archives
END
    auto_ok -t apt --build-arg BUILDKIT_CACHE_MOUNT_NS=apt .
    expect_output 'automatic cache mount /var/cache/apt' 'automatic cache mount /var/lib/apt/lists'
    expect_output installed cob-test_1_all.deb
    in_image apt 'ls /var/cache/apt/archives /var/lib/apt/lists; cat /etc/apt/apt.conf.d/docker-clean; cat /usr/share/cob-test/file'
    expect_output 'DPkg::Post-Invoke' installed
    refuse_output cob-test_1_all.deb Keep-Downloaded-Packages _repo_
    # What was kept is used: the repository has lost it meanwhile.
    rm repo/pool/cob-test_1_all.deb
    build_ok -f Dockerfile.base -t apt-base .
    dockerfile <<'END'
FROM apt-base
RUN apt-get update && apt-get install -y cob-test && echo 'out of the cache'
END
    auto_ok --build-arg BUILDKIT_CACHE_MOUNT_NS=apt .
    expect_output 'out of the cache'
}

@test "apt: a RUN that sees to its configuration itself may do so" {
    dockerfile <<'END'
FROM ubuntu:22.04
RUN echo 'x "y";' >/etc/apt/apt.conf.d/docker-clean
RUN rm -f /etc/apt/apt.conf.d/docker-clean && apt-get install -y apt && ls /etc/apt/apt.conf.d
END
    auto_ok .
    refuse_output ERROR
}

@test "a step that removes its cache at its end does so" {
    fake_tool fake-rm /root/.npm npm
    printf 'FROM fake-rm\nRUN npm ci && rm -rf /root/.npm && ! ls -d /root/.npm\n' >Dockerfile
    auto_ok .
    refuse_output 'automatic cache mount'
}

@test "tools of all kinds write to their caches" {
    local row name dir
    while read -r name dir row; do
        fake_tool "fake-$name" "$dir" "${row%% *}"
        printf 'FROM fake-%s\nRUN %s; echo 1\n' "$name" "$row" >Dockerfile
        auto_ok -t "first-$name" .
        expect_output "automatic cache mount $dir" calls=1
        printf 'FROM fake-%s\nRUN %s; echo 2\n' "$name" "$row" >Dockerfile
        auto_ok -t "second-$name" .
        expect_output calls=2
        in_image "second-$name" "ls -d $dir || echo clean"
        expect_output clean
    done <<'END'
yarn /usr/local/share/.cache/yarn yarn install
pnpm /root/.local/share/pnpm/store pnpm install
uv /root/.cache/uv uv sync
poetry /root/.cache/pypoetry/artifacts poetry install
cargo /root/.cargo/registry cargo build
maven /root/.m2/repository mvn package
gradle /root/.gradle/caches gradle build
apk /etc/apk/cache apk add x
dnf /var/cache/dnf dnf install x
ccache /root/.cache/ccache ccache gcc
composer /root/.cache/composer composer install
bundler /root/.bundle/cache bundle install
nuget /root/.nuget/packages dotnet restore
END
}
