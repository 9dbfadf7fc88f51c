#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# RUN and what surrounds it: steps in real containers.

load ../lib/cob
setup() { cob_setup && busybox_image; }
teardown() { cob_teardown; }

@test "run step: writes a layer, and its output is shown with times" {
    dockerfile <<'END'
FROM busybox
RUN echo to-stdout; echo to-stderr >&2; echo made >/made
END
    build_ok -t r .
    expect_line '#[0-9]+ \[2/2\] RUN echo to-stdout; .*'
    expect_line '#[0-9]+ [0-9]+\.[0-9]+ to-stdout'
    expect_line '#[0-9]+ [0-9]+\.[0-9]+ to-stderr'
    in_image r 'cat /made'
    expect_exact made
    build_ok -t r .
    expect_equal "$(n_cached)" 1 'steps from the cache'
}

@test "run step: a failure has the exit code, the last lines, the place, and exit code 1" {
    dockerfile <<'END'
FROM busybox
RUN echo first-line; echo the-reason >&2; exit 42
END
    build_fails .
    expect_output '>>> RUN echo first-line' the-reason \
        'process "/bin/sh -c echo first-line; echo the-reason >&2; exit 42" did not complete successfully: exit code: 42'
    expect_line ' > \[2/2\] RUN echo first-line.*:'
}

@test "run step: only the last ten lines are repeated after a failure" {
    printf 'FROM busybox\nRUN seq 100 130; exit 1\n' >Dockerfile
    build_fails .
    expect_equal "$(grep -cE '(^| )130$' <<<"$output")" 2 'how often the last line occurs'
    expect_equal "$(grep -cE '(^| )105$' <<<"$output")" 1 'how often an early line occurs'
}

@test "run step: shell, JSON and heredoc forms, SHELL, ENV, ARG, WORKDIR, USER" {
    dockerfile <<'END'
FROM busybox
ARG GREETING=hi
ENV NAME=world
WORKDIR /work/here
RUN echo "$GREETING $NAME $(pwd)" >a
RUN ["/bin/sh", "-c", "echo json >b"]
RUN <<EOF
echo heredoc >c
echo second >>c
EOF
RUN <<EOF
#!/bin/sh
echo script "$0" >d
EOF
SHELL ["/bin/busybox", "sh", "-e", "-c"]
RUN echo "shell" >e
USER app
RUN id -u >/tmp/f; id -G >>/tmp/f
USER 1234:4321
RUN id -u >/tmp/g; id -g >>/tmp/g
END
    build_ok --build-arg GREETING=hello -t forms .
    in_image forms 'cd /work/here; cat a b c e; cat /tmp/f /tmp/g; cut -d" " -f1 d'
    expect_exact 'hello world /work/here
json
heredoc
second
shell
1000
1000 2000
1234
4321
script'
}

@test "run step: the environment is BuildKit's" {
    printf 'FROM busybox\nARG A=1\nRUN env | sort >/env; hostname >>/env\n' >Dockerfile
    build_ok -t env .
    in_image env 'cat /env'
    expect_output A=1 PATH=/usr/local/sbin buildkitsandbox
    refuse_output TERM= COB_ROOT
}

@test "ONBUILD: triggers run in the next build, with its context and stages, and are gone then" {
    dockerfile <<'END'
FROM busybox
ONBUILD COPY main /src/
ONBUILD RUN --mount=from=tools,target=/tools cat /src/main /tools/with >/out
END
    build_ok -t builder .
    echo source >main
    dockerfile <<'END'
FROM busybox AS tools
RUN echo tool >/with
FROM builder
RUN cat /out >/again
END
    build_ok --progress=plain -t app .
    expect_output '[stage-1 2/4] COPY main /src/'
    refuse_output 'load metadata for docker.io/library/tools'
    in_image app 'cat /again'
    expect_exact $'source\ntool'
    printf 'FROM app\nRUN echo late >/late\n' >Dockerfile
    rm main
    build_ok -t next .
}

@test "ONBUILD: an image that only a trigger names is looked up in a step of its own" {
    printf 'FROM scratch\nLABEL tools=1\n' | "$COB" build -q -t tools:1 -
    dockerfile <<'END'
FROM busybox
ONBUILD COPY --from=tools:1 / /x/
ONBUILD RUN --mount=from=tools:1,target=/tools true
END
    build_ok -t builder .
    refuse_output tools:1
    printf 'FROM builder\n' >Dockerfile
    build_ok .
    expect_output '[internal] load metadata for docker.io/library/builder:latest' \
        '[internal] load metadata for docker.io/library/tools:1'
    expect_equal "$(grep -c 'load metadata for docker.io/library/tools:1' <<<"$output")" 1 'lookups'
    build_ok --build-context tools:1=docker-image://busybox .
    expect_output '[context tools:1] load metadata for docker.io/library/busybox:latest'
    printf 'FROM busybox\nONBUILD COPY --from=127.0.0.1:1/none / /x/\n' >Dockerfile
    build_ok -t builder .
    printf 'FROM scratch\nFROM builder\n' >Dockerfile
    build_fails .
    expect_output '[internal] load metadata for 127.0.0.1:1/none:latest' 'ERROR: failed to solve: 127.0.0.1:1/none' \
        '>>> FROM builder'
}

@test "stages: only those that are needed are built, in parallel, and feed each other" {
    dockerfile <<'END'
FROM busybox AS unused
RUN echo must-not-run; exit 1
FROM busybox AS one
RUN sleep 1; echo 1 >/one
FROM busybox AS two
RUN sleep 1; echo 2 >/two
FROM busybox AS three
RUN sleep 1; echo 3 >/three
FROM busybox
COPY --from=one /one /
COPY --from=two /two /
COPY --from=three /three /
RUN cat /one /two /three >/all
END
    local begin=$EPOCHREALTIME
    build_ok -t stages .
    refuse_output must-not-run
    awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { exit b - a > 2.8 }' || fail 'three stages of 1 s ran one after the other'
    in_image stages 'cat /all'
    expect_exact $'1\n2\n3'
}

@test "equal steps of one build run once" {
    dockerfile <<'END'
FROM busybox AS one
RUN echo marker-of-the-step; sleep 0.3
FROM busybox AS two
RUN echo marker-of-the-step; sleep 0.3
FROM scratch
COPY --from=one /etc/passwd /one
COPY --from=two /etc/passwd /two
END
    build_ok .
    expect_equal "$(grep -cE '^#[0-9]+ [0-9.]+ marker-of-the-step' <<<"$output")" 1 'how often it ran'
}

@test "a chain of 130 layers builds, is used, and is exported" {
    local n
    {
        echo FROM busybox
        for n in $(seq 1 130); do echo "COPY f$n /d/"; done
        echo 'RUN ls /d | wc -l >/n; cat /d/f1 /d/f130 >>/n'
    } >Dockerfile
    for n in $(seq 1 130); do echo "$n" >"f$n"; done
    build_ok -t deep .
    in_image deep 'cat /n; rm /d/f1; ls /d | wc -l'
    expect_exact $'130\n1\n130\n129'
    build_ok -o "type=tar,dest=$T/deep.tar" .
    expect_equal "$(tar -tf "$T/deep.tar" | grep -c '^d/f')" 130 'files in the archive'
}

@test "removed and replaced files and folders stay so in later layers" {
    dockerfile <<'END'
FROM busybox
RUN mkdir -p /a/b /c && echo 1 >/a/b/f && echo 1 >/c/old && echo 1 >/gone
RUN rm /gone && rm -r /a && mkdir /a && echo 2 >/a/new && rm -r /c && echo file >/c
RUN [ ! -e /gone ] && [ ! -e /a/b ] && [ -f /c ]
END
    build_ok -t removed -o "type=tar,dest=$T/r.tar" .
    run tar -tf "$T/r.tar"
    refuse_output gone a/b .wh.
    expect_output a/new
}

@test "heavy output neither blocks nor floods" {
    printf 'FROM busybox\nRUN yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | head -c 20000000; echo end-of-it\n' >Dockerfile
    timeout 60 "$COB" build --progress=plain . >"$T/log" 2>&1
    [ "$(stat -c %s "$T/log")" -lt 8000000 ] || fail "20 MB of log gave $(stat -c %s "$T/log") bytes"
}

@test "control bytes of a step's log reach no terminal" {
    dockerfile <<'END'
FROM busybox
RUN printf '\033]52;c;aGk=\007\033[2Jcleared\r#9 DONE 0.1s\n\302\233x\342\200\256rtl\n'; exit 3
END
    build_fails .
    [[ $output != *$'\033]52'* ]] && [[ $output != *$'\033[2J'* ]] && [[ $output != *$'\007'* ]]
    ! grep -qx '#9 DONE 0.1s' <<<"$output"
}

@test "cob run: command, environment, user, folder, volumes, exit code, standard input" {
    printf 'FROM busybox\nENV A=image\nENTRYPOINT ["/bin/echo", "entry"]\nCMD ["cmd"]\n' >Dockerfile
    build_ok -t prog .
    run "$COB" run --rm prog
    expect_exact 'entry cmd'
    run "$COB" run --rm prog other words
    expect_exact 'entry other words'
    # shellcheck disable=SC2016
    run "$COB" run --rm -e A=here -e B=2 --entrypoint /bin/sh -w /tmp -u 1000:2000 prog \
        -c 'echo $A $B $(pwd) $(id -u) $(id -g)'
    expect_exact 'here 2 /tmp 1000 2000'
    run "$COB" run --rm --entrypoint /bin/sh prog -c 'exit 7'
    expect_status 7
    run -127 "$COB" run --rm busybox no-such-program
    mkdir vol && chmod 777 vol && echo from-host >vol/f
    run "$COB" run --rm -v "$PWD/vol:/v" busybox sh -c 'cat /v/f; echo back >/v/g'
    expect_exact from-host
    expect_file vol/g back
    run "$COB" run --rm -v "$PWD/vol:/v:ro" busybox touch /v/h
    [ "$status" -ne 0 ] && [ ! -e vol/h ]
    run bash -c 'echo typed | "$COB" run --rm -i busybox cat'
    expect_exact typed
}

@test "cob run: a volume's relative path begins with a dot" {
    mkdir -p data && echo seen >data/f
    local volume
    for volume in ./data:/m .:/m; do
        run "$COB" run --rm -v "$volume" busybox ls -R /m
        expect_status 0
        expect_line f
    done
    run "$COB" run --rm -v data:/m busybox ls /m
    expect_status 125
    expect_output 'ERROR: volume data:/m: a volume is /host/path:/path[:ro] or ./host/path:/path[:ro]'
}

@test "cob run -it: a terminal" {
    need_program script
    run script -qec "$COB run --rm -it busybox sh -c 'tty; stty size'" /dev/null
    expect_status 0
    expect_output /dev/
    refuse_output 'not a tty'
}

@test "cob run: what it writes does not change the image" {
    in_image busybox 'echo x >/new; rm /etc/passwd'
    in_image busybox 'ls /new /etc/passwd'
    expect_output /etc/passwd 'No such file'
}
