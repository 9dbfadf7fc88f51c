#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What cob says of a Dockerfile beside building it: --check, --call, and warnings of a build.

load ../lib/cob
setup() { cob_setup; }
teardown() { cob_teardown; }

ask() { # options...: standard output and the exit status alone
    run --separate-stderr "$COB" build "$@" .
}

@test "check: a good file has no warnings" {
    dockerfile <<'END'
FROM scratch
COPY a /a
END
    ask --check
    expect_status 0
    expect_equal "$output" 'Check complete, no warnings found.' 'standard output'
    ask --call=lint
    expect_status 0
    expect_equal "$output" 'Check complete, no warnings found.' 'standard output'
}

@test "check: warnings are shown to the byte, and are the exit status" {
    dockerfile <<'END'
FROM scratch
CMD run
MAINTAINER me
END
    ask --check
    expect_status 1
    expect_equal "$output" 'Check complete, 2 warnings have been found!

WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/
JSON arguments recommended for CMD to prevent unintended behavior related to OS signals
Dockerfile:2
--------------------
   1 |     FROM scratch
   2 | >>> CMD run
   3 |     MAINTAINER me
   4 |     
--------------------

WARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/
Maintainer instruction is deprecated in favor of using label
Dockerfile:3
--------------------
   1 |     FROM scratch
   2 |     CMD run
   3 | >>> MAINTAINER me
   4 |     
--------------------' 'standard output'
    ask --call=check,ignorestatus=true
    expect_status 0
    ask --check --build-arg BUILDKIT_DOCKERFILE_CHECK=skip=JSONArgsRecommended
    expect_status 1
    expect_output 'Check complete, 1 warning has been found!'
    refuse_output JSONArgsRecommended
}

@test "check: what keeps a file from being built comes after its warnings" {
    dockerfile <<'END'
FROM scratch AS Bad
RUNN x
END
    ask --check
    expect_status 1
    expect_output 'Check complete, 1 warning has been found!' "Stage name 'Bad' should be lowercase"
    # shellcheck disable=SC2154
    [[ $stderr == *'Dockerfile:2'*'ERROR: dockerfile parse error on line 2: unknown instruction: RUNN'* ]] ||
        fail "standard error: $stderr"
    printf '# check=error=true\nFROM scratch AS Bad\n' >Dockerfile
    ask --check
    expect_status 1
    [[ $stderr == *'ERROR: lint violation found for rules: StageNameCasing'* ]] ||
        fail "standard error: $stderr"
}

@test "check: an image out of reach does not keep the rest from being checked" {
    dockerfile <<'END'
FROM 127.0.0.1:1/none
CMD run
END
    ask --check
    expect_status 1
    expect_output 'Check complete, 1 warning has been found!' JSONArgsRecommended
    [[ $stderr == *'Dockerfile:1'*'ERROR: 127.0.0.1:1/none'* ]] || fail "standard error: $stderr"
}

@test "check: .dockerignore is read" {
    dockerfile <<'END'
FROM scratch
COPY a /a
END
    echo a >.dockerignore
    ask --check
    expect_status 1
    expect_output 'Attempting to Copy file "a" that is excluded by .dockerignore'
}

@test "check: as JSON" {
    need_program python3
    dockerfile <<'END'
FROM scratch
ENV k \
  v
END
    ask --call=check,format=json
    expect_status 1
    python3 - "$output" <<'END'
import base64, json, sys
got = json.loads(sys.argv[1])
line = lambda n: {"start": {"line": n}, "end": {"line": n}}
assert got["warnings"] == [{
    "ruleName": "LegacyKeyValueFormat",
    "description": "Legacy key/value format with whitespace separator should not be used",
    "url": "https://docs.docker.com/go/dockerfile/rule/legacy-key-value-format/",
    "detail": '"ENV key=value" should be used instead of legacy "ENV key value" format',
    "location": {"ranges": [line(2), line(3)]},
}], got["warnings"]
source = got["sources"][0]
assert source["filename"] == "Dockerfile" and source["language"] == "Dockerfile", source
assert base64.b64decode(source["data"]) == b"FROM scratch\nENV k \\\n  v\n"
assert "buildError" not in got
END
    printf 'FROM scratch\nRUNN\n' >Dockerfile
    ask --call=check,format=json
    expect_status 1
    python3 -c 'import json, sys
got = json.loads(sys.argv[1])
assert got["warnings"] == []
assert got["buildError"]["message"].startswith("dockerfile parse error on line 2"), got
assert got["buildError"]["location"]["ranges"][0]["start"]["line"] == 2, got' "$output"
}

@test "call: outline, as text and as JSON" {
    need_program python3
    dockerfile <<'END'
# version of what is built
ARG version=1
FROM scratch AS base
ARG version
# out gathers it all
FROM base AS out
# level is how much
ARG level
RUN --mount=type=secret,id=key,required true
END
    ask --call=outline --build-arg level=3
    expect_status 0
    expect_equal "$output" 'TARGET:      out
DESCRIPTION: gathers it all

BUILD ARG   VALUE   DESCRIPTION
version     1       of what is built
level       3       is how much

SECRET   REQUIRED
key      true' 'standard output'
    ask --call=outline,format=json
    expect_status 0
    python3 -c 'import json, sys
got = json.loads(sys.argv[1])
assert got["name"] == "out" and got["description"] == "gathers it all", got
line = lambda n: {"ranges": [{"start": {"line": n}, "end": {"line": n}}]}
assert got["args"] == [
    {"name": "version", "description": "of what is built", "value": "1", "location": line(2)},
    {"name": "level", "description": "is how much", "location": line(8)}], got["args"]
assert got["secrets"] == [{"name": "key", "required": True, "location": line(9)}], got["secrets"]
assert "ssh" not in got and len(got["sources"]) == 1, got' "$output"
}

@test "call: targets, as text and as JSON" {
    need_program python3
    dockerfile <<'END'
# build compiles
FROM scratch AS build
FROM scratch AS test
FROM build
END
    ask --call=targets
    expect_status 0
    expect_equal "$output" 'TARGET    DESCRIPTION
build     compiles
test      
(default) ' 'standard output'
    ask --call=targets,format=json
    expect_status 0
    python3 -c 'import json, sys
got = json.loads(sys.argv[1])
assert [t.get("name") for t in got["targets"]] == ["build", "test", None], got
assert got["targets"][0]["description"] == "compiles" and got["targets"][0]["base"] == "scratch"
assert [t.get("default") for t in got["targets"]] == [None, None, True], got' "$output"
}

@test "call: what can be asked" {
    need_program python3
    printf 'FROM scratch\n' >Dockerfile
    ask --call=subrequests.describe
    expect_status 0
    expect_equal "$output" 'NAME                 VERSION DESCRIPTION
outline              1.0.0   List all parameters current build target supports
targets              1.0.0   List all targets current build supports
subrequests.describe 1.0.0   List available subrequest types
lint                 1.0.0   Lint a Dockerfile
convertllb           0.1.0   Convert Dockerfile to LLB' 'standard output'
    ask --call=subrequests.describe,format=json
    expect_status 0
    python3 -c 'import json, sys
got = {one["name"]: one for one in json.loads(sys.argv[1])}
assert all(one["type"] == "rpc" and one["inputs"] is None and one["refs"] is None
           for one in got.values())
assert got["frontend.outline"]["opts"] == [
    {"name": "target", "description": "Target build stage"}]
assert got["frontend.targets"]["opts"] == []
assert got["frontend.subrequests.describe"]["opts"] is None
assert [one["name"] for one in got["frontend.lint"]["metadata"]] == [
    "result.json", "result.txt", "result.statuscode"]
assert got["frontend.convertllb"]["metadata"] == [{"name": "result.json", "description": ""}]
assert got["frontend.convertllb"]["version"] == "0.1.0", got' "$output"
    rm Dockerfile
    ask --call=subrequests.describe
    expect_status 1
}

@test "call: a build as LLB in JSON, of which every op has the bytes that its digest names" {
    need_program python3
    echo b >b
    dockerfile <<'END'
FROM scratch AS one
ADD https://example.com/x.tar?a=<&> /x
ADD --keep-git-dir https://example.com/r.git#v1:sub /g
COPY --link --chown=1:2 --chmod=u=rwX b /b/
COPY <<EOF /text
ü "$HOME"
EOF
FROM scratch
ENV PATH=/bin
COPY --parents --exclude=x --from=one /x* /y/
RUN --network=none --mount=type=cache,id=c,sharing=locked,target=/c,uid=3 \
    --mount=type=secret,id=s,env=S --mount=type=ssh --mount=type=tmpfs,target=/t,size=1m \
    --mount=type=bind,target=/o,from=one,rw true
WORKDIR /w
END
    "$COB" build --call=convertllb --ulimit nofile=5:-1 --add-host a:10.0.0.1 \
        --build-arg HTTP_PROXY=p . >llb.json
    python3 "$BATS_TEST_DIRNAME/../lib/llb_digests.py" \
        "$BATS_TEST_DIRNAME/../../src/spec/proto/ops.proto" <llb.json
    python3 - <<'END'
import base64, json
got = json.load(open("llb.json"))
names = {m["description"]["llb.customname"] for m in got["metadata"].values() if "description" in m}
assert "[stage-1 3/3] WORKDIR /w" in names, names
info = got["source"]["infos"][0]
assert info["filename"] == "Dockerfile" and info["language"] == "Dockerfile"
assert base64.b64decode(info["data"]) == open("Dockerfile", "rb").read()
runs = {digest: op["exec"] for digest, op in got["def"].items() if "exec" in op}
(digest, run), = runs.items()
assert run["network"] == "NONE" and run["meta"]["proxyEnv"] == {"httpProxy": "p"}, run
assert run["meta"]["ulimit"] == [{"Name": "nofile", "Soft": "5", "Hard": "-1"}], run
place = got["source"]["locations"][digest]["locations"][0]["ranges"]
assert place[0]["start"]["line"] == 11 and place[-1]["end"]["line"] == 13, place
END
    "$COB" build --progress=quiet --call=convertllb,format=json . >again.json
    head -c 10 again.json | grep -qF '{'
}

@test "call: the answer is in the metadata file, too" {
    need_program python3
    printf 'FROM scratch AS Bad\n' >Dockerfile
    for call in lint outline targets convertllb subrequests.describe; do
        ask --call="$call,format=json" --metadata-file="$call.json"
        printf '%s' "$output" >"$call.out"
    done
    ask --call=targets --metadata-file=text.json
    python3 - <<'END'
import json
for call in ["lint", "outline", "targets", "convertllb", "subrequests.describe"]:
    got = json.load(open(call + ".json"))
    assert got["result.json"] == json.load(open(call + ".out")), call
    assert got["version"] == ("0.1.0" if call == "convertllb" else "1.0.0"), call
    assert ("result.txt" in got) == (call != "convertllb"), call
    assert got.get("result.statuscode") == ("1" if call == "lint" else None), call
text = json.load(open("text.json"))["result.txt"]
assert text == "TARGET        DESCRIPTION\nbad (default) \n", text
END
}

@test "call: what is not known is refused" {
    printf 'FROM scratch\n' >Dockerfile
    ask --call=guess
    expect_status 1
    # shellcheck disable=SC2154
    [[ $stderr == *'--call: unknown method guess: use build, check, lint, outline, targets, '* ]] ||
        fail "standard error: $stderr"
    ask --check --call=outline
    expect_status 1
    [[ $stderr == *'--check and --call outline exclude each other'* ]] || fail "$stderr"
}

@test "build: warnings come once, after the progress; --debug tells more" {
    echo a >a
    dockerfile <<'END'
FROM scratch
COPY a /$x$x
MAINTAINER me
COPY a /$x
END
    run "$COB" build --progress=plain .
    expect_status 0
    [[ $output == *'

 3 warnings found (use cob --debug to expand):
 - UndefinedVar: Usage of undefined variable '"'\$x'"' (line 2)
 - MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 3)
 - UndefinedVar: Usage of undefined variable '"'\$x'"' (line 4)' ]] || fail "$output"
    run "$COB" --debug build --progress=plain .
    expect_status 0
    [[ $output == *'

 3 warnings found:
'*' - MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 3)
The MAINTAINER instruction is deprecated, use a label instead to define an image author
More info: https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/
Dockerfile:3
--------------------
   1 |     FROM scratch
   2 |     COPY a /$x$x
   3 | >>> MAINTAINER me
   4 |     COPY a /$x
   5 |     
--------------------
'* ]] || fail "$output"
    run "$COB" build --quiet .
    refuse_output warning
    run "$COB" build --progress=rawjson .
    expect_output '"warnings":[{' '"url":"https://docs.docker.com/go/dockerfile/rule/undefined-var/"'
}

@test "build: error=true ends it, after its warnings" {
    echo a >a
    dockerfile <<'END'
# check=error=true
FROM scratch
COPY a /a
MAINTAINER me
END
    run "$COB" build --progress=plain .
    expect_status 1
    expect_output ' 1 warning found (use cob --debug to expand):' \
        'ERROR: failed to solve: lint violation found for rules: MaintainerDeprecated'
    run "$COB" build --progress=plain --build-arg BUILDKIT_DOCKERFILE_CHECK=skip=all .
    expect_status 0
    refuse_output warning
}
