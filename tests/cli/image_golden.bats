#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Dockerfiles with the layers and configs that come of them, side by side in tests/golden/image:
# X.Dockerfile and X.image. UPDATE_GOLDEN=1 writes what is there now; read the difference before you
# commit it. A line "# test: ..." has options of `cob build`.

load ../lib/cob
setup_file() { shared_store_make; }
teardown_file() { shared_store_remove; }
setup() {
    cob_setup
    shared_store_use
    # shellcheck source=/dev/null
    (. "$project/tests/golden/image/context.sh")
}
teardown() { cob_teardown; }

check_image() {
    local file=$1 want=${1%.Dockerfile}.image options
    read -ra options < <(sed -n 's/^# test: //p' "$file")
    cp "$file" "$T/Dockerfile"
    rm -f "$T/Dockerfile.dockerignore"
    [ ! -e "$file.dockerignore" ] || cp "$file.dockerignore" "$T/Dockerfile.dockerignore"
    "$COB" build --quiet "${options[@]}" -f "$T/Dockerfile" -o "type=oci,dest=$T/image.tar" . >/dev/null &&
        python3 "$project/tests/lib/image_listing.py" "$T/image.tar" >"$T/got" || return 1
    [ -z "${UPDATE_GOLDEN:-}" ] || cp "$T/got" "$want"
    diff -u "$want" "$T/got"
}

@test "every Dockerfile of tests/golden/image gives its layers and its config" {
    need_program python3
    local file failed=0 n=0
    for file in "$project"/tests/golden/image/*.Dockerfile; do
        n=$((n + 1))
        check_image "$file" || {
            echo "$file: not as written" >&2
            failed=1
        }
    done
    [ "$n" -ge 20 ]
    [ "$failed" -eq 0 ]
}
