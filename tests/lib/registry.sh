# SPDX-License-Identifier: Apache-2.0
# A real registry (Debian's docker-registry) on a free port, for tests. To be sourced by bash.
#
#     registry_start plain|tls|auth|mutual [DIR]
#                                   starts one; sets REGISTRY (localhost:PORT), REGISTRY_DIR
#                                   and REGISTRY_PID
#     registry_stop                 stops it, by pid, and removes its files
#     registry_make_cert DIR NAME HOST [START END]
#                                   NAME.crt and NAME.key for a host, by the CA in DIR;
#                                   from and to: 20400101000000Z, the usual is now and two days
#
# DIR is the folder to use, made by the caller and left to the caller.
# tls:   REGISTRY_DIR/ca.crt is the CA; REGISTRY_DIR/certs.d is a certificate folder for cob
# auth:  as tls, and the user is "tester", the password "secret"; REGISTRY_DIR/config.json has the
#        login as docker would write it
# mutual: as tls, and the client needs a certificate; it is in REGISTRY_DIR/certs.d, too

registry_free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

registry_make_certs() { # dir
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=test CA' \
        -keyout "$1/ca.key" -out "$1/ca.crt" 2>"$1/openssl.log" &&
    registry_make_cert "$1" server localhost
}

registry_make_cert() { # dir name host [start end]
    : >"$1/ca.txt"
    cat >"$1/ca.conf" <<EOF || return
[ca]
default_ca = own
[own]
database = $1/ca.txt
new_certs_dir = $1
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = DNS:$3,IP:127.0.0.1
EOF
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$3" \
        -keyout "$1/$2.key" -out "$1/$2.csr" 2>>"$1/openssl.log" &&
    openssl ca -batch -notext -config "$1/ca.conf" -cert "$1/ca.crt" -keyfile "$1/ca.key" \
        -in "$1/$2.csr" -out "$1/$2.crt" -days 2 ${4:+-startdate "$4" -enddate "$5"} 2>>"$1/openssl.log"
}

# bcrypt is the one form that the registry takes; Python's crypt has it through libxcrypt.
registry_make_login() { # dir host
    python3 -W ignore -c 'import crypt; print("tester:" + crypt.crypt("secret", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' \
        >"$1/htpasswd" &&
    printf '{"auths": {"%s": {"auth": "%s"}}}' "$2" "$(printf 'tester:secret' | base64)" >"$1/config.json"
}

registry_write_config() { # mode dir port
    printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}, delete: {enabled: true}}\n' "$2"
    printf 'http:\n  addr: localhost:%s\n' "$3"
    case $1 in
    tls | auth) printf '  tls: {certificate: %s/server.crt, key: %s/server.key}\n' "$2" "$2" ;;
    mutual) printf '  tls: {certificate: %s/server.crt, key: %s/server.key, clientcas: [%s/ca.crt]}\n' "$2" "$2" "$2" ;;
    esac
    [ "$1" != auth ] || printf 'auth: {htpasswd: {realm: test, path: %s/htpasswd}}\n' "$2"
}

registry_wait() { # pid port
    local i
    for i in $(seq 100); do
        kill -0 "$1" 2>/dev/null || return 1
        (exec 3<>"/dev/tcp/localhost/$2") 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}

registry_start() {
    local mode=$1 port
    REGISTRY_OWN_DIR=
    REGISTRY_DIR=${2:-}
    if [ -z "$REGISTRY_DIR" ]; then
        REGISTRY_DIR=$(mktemp -d) || return
        REGISTRY_OWN_DIR=$REGISTRY_DIR
    fi
    port=$(registry_free_port) || return
    REGISTRY=localhost:$port
    mkdir -p "$REGISTRY_DIR/data"
    if [ "$mode" != plain ]; then
        registry_make_certs "$REGISTRY_DIR" || return
        mkdir -p "$REGISTRY_DIR/certs.d/$REGISTRY"
        cp "$REGISTRY_DIR/ca.crt" "$REGISTRY_DIR/certs.d/$REGISTRY/ca.crt"
    fi
    if [ "$mode" = mutual ]; then
        registry_make_cert "$REGISTRY_DIR" client client || return
        cp "$REGISTRY_DIR/client.crt" "$REGISTRY_DIR/certs.d/$REGISTRY/client.cert"
        cp "$REGISTRY_DIR/client.key" "$REGISTRY_DIR/certs.d/$REGISTRY/client.key"
    fi
    [ "$mode" != auth ] || registry_make_login "$REGISTRY_DIR" "$REGISTRY" || return
    registry_write_config "$mode" "$REGISTRY_DIR" "$port" >"$REGISTRY_DIR/config.yml"
    docker-registry serve "$REGISTRY_DIR/config.yml" >"$REGISTRY_DIR/log" 2>&1 3>&- &
    REGISTRY_PID=$!
    registry_wait "$REGISTRY_PID" "$port" || { cat "$REGISTRY_DIR/log" >&2; return 1; }
}

registry_stop() {
    [ -z "${REGISTRY_PID:-}" ] || { kill "$REGISTRY_PID" || :; wait "$REGISTRY_PID" 2>/dev/null || :; }
    [ -z "${REGISTRY_OWN_DIR:-}" ] || rm -rf "$REGISTRY_OWN_DIR"
    REGISTRY_PID= REGISTRY_OWN_DIR=
    return 0
}
