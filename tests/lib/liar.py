#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A registry that lies, for tests: on the loopback, each repository another lie.

    liar.py serve PORTFILE [CANARY [CERT KEY]]
                                      one line a request goes to PORTFILE.log; ends when killed.
                                      With a certificate, also by TLS, at the port in PORTFILE.tls
    liar.py lies                      the repositories that must not be pulled, and a part of the
                                      error of each, behind a tab
    liar.py digests                   what is no digest, one a line

Repositories beside the lies: "fine", "index", "big", ...: see HONEST; "archive/NAME", whose layer
is the hostile archive of that name, meaning harm to CANARY; "labels"; and those of FAULTS and SENDS.

It is a proxy, too, for the login user:s3cret: whoever is asked for, itself answers.
"""
import base64
import gzip
import hashlib
import http.server
import io
import json
import os
import shutil
import socket
import ssl
import sys
import tarfile
import threading

import hostile

V = "application/vnd.oci.image."
DOCKER = "application/vnd.docker.distribution."
MANIFEST, INDEX = V + "manifest.v1+json", V + "index.v1+json"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
CONFIG, LAYER = V + "config.v1+json", V + "layer.v1.tar+gzip"
HEX = hashlib.sha256(b"").hexdigest()
MIB = 1 << 20


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(*files):
    """files: name, content, mode."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content, mode in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Image:
    """What one repository has. A lie changes it; then the server asks for document()."""

    def __init__(self, tar=None, architecture="amd64", **config):
        tar = tar or tar_of(("file", b"hello", 0o644))
        self.blobs = {}
        self.content_type = MANIFEST
        self.raw = None  # in place of the manifest
        self.said_digest = None
        self.config = {"architecture": architecture, "os": "linux", "config": config,
                       "rootfs": {"type": "layers", "diff_ids": [digest_of(tar)]}}
        self.manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": None,
                         "layers": [self.blob(gzip.compress(tar, mtime=0), LAYER)]}
        self.put_config()
        self.others = {}  # manifests by digest

    def blob(self, data, media_type):
        self.blobs[digest_of(data)] = data
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}

    def put_config(self, data=None):
        self.manifest["config"] = self.blob(data or json.dumps(self.config).encode(), CONFIG)

    def layer(self):
        return self.manifest["layers"][0]

    def document(self):
        return self.raw if self.raw is not None else json.dumps(self.manifest).encode()

    def become_index(self, *entries):
        """entries: image, platform or None, more members."""
        listed = []
        for image, platform, more in entries:
            data = image.document()
            self.others[digest_of(data)] = data
            self.others.update(image.others)
            self.blobs.update(image.blobs)
            entry = {"mediaType": MANIFEST, "digest": digest_of(data), "size": len(data)}
            if platform:
                entry["platform"] = dict(zip(("os", "architecture", "variant"), platform.split("/")))
            listed.append({**entry, **more})
        self.manifest = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
        self.content_type = INDEX
        return listed


# --- what is pulled ---

def fine(image):
    pass


def index(image):
    image.become_index(*(
        (Image(tar_of(("platform", name.encode(), 0o644)), name.split("/")[1]), name, {})
        for name in ("linux/s390x", "linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7")))


def big(image):
    """A manifest of just the size that is allowed."""
    data = image.document()
    image.raw = data + b" " * (4 * MIB - len(data))


def no_parameters_count(image):
    image.content_type = MANIFEST + "; charset=utf-8"


def typed_by_itself(image):
    image.content_type = "application/octet-stream"


def typed_by_server(image):
    del image.manifest["mediaType"]


def foreign_but_here(image):
    image.layer().update(mediaType=FOREIGN, urls=["https://localhost:{port}/foreign"])


HONEST = (fine, index, big, no_parameters_count, typed_by_itself, typed_by_server, foreign_but_here)


def busybox():
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if os.path.exists(path):
            with open(path, "rb") as file:
                return file.read()
    return b""


def labelled(canary):
    """Labels and annotations that runtimes act on."""
    evil = {"run.oci.hooks.stdout": canary + "/x", "run.oci.hooks.stderr": canary + "/y",
            "run.oci.keep_original_groups": "1", "run.oci.systemd.force_cgroup_v1": canary,
            "io.katacontainers.config.hypervisor.path": canary, "org.opencontainers.image.title": "../../x"}
    program = busybox()
    image = Image(tar_of(("bin/sh", program, 0o755), ("bin/busybox", program, 0o755)),
                  Cmd=["/bin/sh", "-c", "echo ran"], Labels=evil)
    image.manifest["annotations"] = evil
    image.layer()["annotations"] = evil
    image.manifest["config"]["annotations"] = evil
    return image


# --- lies ---

BAD_DIGESTS = (
    "", "sha256", "sha256:", ":" + HEX, HEX, "sha256" + HEX, "sha256:" + HEX[1:], "sha256:" + HEX + "0",
    "sha256:" + HEX.upper(), "SHA256:" + HEX, "Sha256:" + HEX, "sha256:" + HEX[:-1] + "g",
    "sha256:" + HEX[:-1] + "/", "sha256:" + HEX[:-1] + " ", " sha256:" + HEX, "sha256:" + HEX + " ",
    "sha256: " + HEX[1:], "sha256::" + HEX, "sha256:" + HEX + "\n", "sha256:" + HEX + "\r\nX-Evil: 1",
    "sha256:../../../../../../../../tmp/cob-evil", "sha256:/etc/passwd", "../" + HEX, "/" + HEX,
    "sha256:" + "../" * 21 + "a", "sha256:%2e%2e%2f" + HEX[9:], "sha256:" + HEX + "/../x",
    "sha256:" + HEX + "?x=1", "sha256:" + HEX + "#x", "sha256:" + HEX + "@sha256:" + HEX,
    "sha256+b64u:" + HEX, "md5:" + HEX[:32], "sha1:" + HEX[:40], "sha384:" + HEX + HEX[:32],
    "sha512:" + HEX, "sha512:" + 127 * "a", "sha512:" + 127 * "a" + "A", "blake3:" + HEX,
    "sha256:" + "\uff10" * 64, "sha256:" + "\u0660" * 32, "-sha256:" + HEX, "sha256:" + "a" * 5000,
    "sha256:" + HEX[:-4] + "\x1b[2J", "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
)

LIES = {}  # name -> (function of an Image, a part of the error)


def lie(name, error):
    def keep(function):
        LIES[name] = (function, error)
        return function
    return keep


def set_layer(**members):
    return lambda image: image.layer().update(members)


def set_config(**members):
    return lambda image: image.manifest["config"].update(members)


def set_entry(**members):
    def change(image):
        image.become_index((Image(), "linux/amd64", members))
    return change


for i, bad in enumerate(BAD_DIGESTS):
    LIES["digest-%d" % i] = (set_layer(digest=bad), "layers[0]: digest")
for i in (0, 20, 28):
    LIES["digest-config-%d" % i] = (set_config(digest=BAD_DIGESTS[i]), "config: digest")
    LIES["digest-entry-%d" % i] = (set_entry(digest=BAD_DIGESTS[i]), "manifests[0]: digest")
LIES["digest-number"] = (set_layer(digest=7), "layers[0]: digest is not a string")
LIES["digest-sha512"] = (set_layer(digest="sha512:" + 128 * "a"), "digests other than sha256")

for name, size, error in (
        ("negative", -1, "size is not a whole number"), ("float", 1.5, "size is not a whole number"),
        ("exponent", 1e3, "size is not a whole number"), ("text", "7", "size is not a whole number"),
        ("null", None, "size is not a whole number"), ("list", [7], "size is not a whole number"),
        ("2-63", 1 << 63, "too big integer"), ("2-64", 1 << 64, "too big integer"),
        ("2-63-less-1", (1 << 63) - 1, "has 9223372036854775807 bytes, more than"),
        ("zero", 0, "size is 0 by its descriptor"), ("one", 1, "1 by its descriptor")):
    LIES["size-" + name] = (set_layer(size=size), error)
    LIES["size-entry-" + name] = (set_entry(size=size), error if "descriptor" not in error
                                  and "bytes" not in error else "not of the size that its index says")
for name, size, error in (("negative", -1, "size is not a whole number"), ("zero", 0, "size is 0 by its"),
                          ("past-cap", 8 * MIB + 1, "config has 8388609 bytes, more than 8388608"),
                          ("2-64", 1 << 64, "too big integer")):
    LIES["size-config-" + name] = (set_config(size=size), error)


@lie("size-less-than-body", "bytes at the registry")
def _(image):
    image.layer()["size"] -= 1


@lie("size-more-than-body", "bytes at the registry")
def _(image):
    image.layer()["size"] += 1


@lie("size-config-more-than-body", "bytes at the registry")
def _(image):
    image.manifest["config"]["size"] += 1


@lie("size-missing", "size is not a whole number")
def _(image):
    del image.layer()["size"]


@lie("both-kinds", "it is a manifest and an index at once")
def _(image):
    image.manifest["manifests"] = []


@lie("both-kinds-as-index", "it is a manifest and an index at once")
def _(image):
    image.become_index((Image(), "linux/amd64", {}))
    image.manifest["layers"] = []


@lie("neither-kind", "neither a manifest nor an index")
def _(image):
    image.manifest = {"schemaVersion": 2, "mediaType": MANIFEST}


@lie("type-index-members-manifest", "its mediaType is " + INDEX)
def _(image):
    image.manifest["mediaType"] = INDEX


@lie("served-as-index", "its Content-Type is " + INDEX)
def _(image):
    del image.manifest["mediaType"]
    image.content_type = INDEX


@lie("served-as-manifest", "its Content-Type is " + MANIFEST)
def _(image):
    image.become_index((Image(), "linux/amd64", {}))
    image.content_type = MANIFEST


@lie("served-as-docker", "its mediaType is " + MANIFEST + ", and its Content-Type " + DOCKER)
def _(image):
    image.content_type = DOCKER + "manifest.v2+json"


@lie("served-as-html", "its Content-Type is text/html")
def _(image):
    image.content_type = "text/html"


@lie("served-as-nothing", "neither its mediaType nor its Content-Type")
def _(image):
    del image.manifest["mediaType"]
    image.content_type = "application/json"


@lie("served-without-type", "neither its mediaType nor its Content-Type")
def _(image):
    del image.manifest["mediaType"]
    image.content_type = None


@lie("entry-is-index", "is not the " + MANIFEST + " that its index says")
def _(image):
    inner = Image()
    inner.become_index((Image(), "linux/amd64", {}))
    image.become_index((inner, "linux/amd64", {}))


@lie("index-in-index-in-index", "indexes inside indexes")
def _(image):
    inner = Image()
    for _ in range(7):
        outer = Image()
        outer.become_index((inner, "linux/amd64", {"mediaType": inner.content_type}))
        inner = outer
    image.__dict__.update(inner.__dict__)


@lie("schema-1", "Docker's schema 1")
def _(image):
    image.manifest = {"schemaVersion": 1, "fsLayers": [], "history": []}
    image.content_type = DOCKER + "manifest.v1+prettyjws"


@lie("schema-3", "schemaVersion is 3")
def _(image):
    image.manifest["schemaVersion"] = 3


@lie("manifest-past-cap", "longer than the limit of 4194304 bytes")
def _(image):
    data = image.document()
    image.raw = data + b" " * (4 * MIB + 1 - len(data))


@lie("config-past-cap", "config has 8388609 bytes, more than 8388608")
def _(image):
    data = json.dumps(image.config).encode()
    image.put_config(data + b" " * (8 * MIB + 1 - len(data)))


@lie("manifest-no-json", "parse it")
def _(image):
    image.raw = b"<html>"


@lie("manifest-empty", "parse it")
def _(image):
    image.raw = b""


@lie("manifest-deep", "parse it")
def _(image):
    image.raw = b"[" * 200000


@lie("manifest-deep-inside", "parse it")
def _(image):
    image.raw = image.document()[:-1] + b', "annotations": ' + b'{"a": ' * 200000 + b"1" + b"}" * 200001


@lie("index-deep", "parse it")
def _(image):
    image.content_type = INDEX
    image.raw = b'{"schemaVersion": 2, "manifests": ' + b"[" * 200000 + b"]" * 200000 + b"}"


@lie("config-deep", "config")
def _(image):
    image.put_config(b'{"a": ' * 200000 + b"1" + b"}" * 200000)


@lie("config-no-json", "config")
def _(image):
    image.put_config(b"\0\1\2")


@lie("config-of-artifact", "not an image: its config is of type application/x")
def _(image):
    image.manifest["config"]["mediaType"] = "application/x"


@lie("entries-10001", "manifests has 10001 entries, more than 10000")
def _(image):
    entry = image.become_index((Image(), "linux/amd64", {}))[0]
    image.manifest["manifests"] = [{"digest": entry["digest"], "size": 1}] * 10001


@lie("layers-1025", "layers has 1025 entries, more than 1024")
def _(image):
    image.manifest["layers"] = [image.layer()] * 1025


@lie("diff-id-other", "sha256:" + "a" * 64)
def _(image):
    image.config["rootfs"]["diff_ids"] = ["sha256:" + "a" * 64]
    image.put_config()


@lie("diff-ids-too-few", "the manifest has 1 layers, the config 0")
def _(image):
    image.config["rootfs"]["diff_ids"] = []
    image.put_config()


@lie("diff-ids-too-many", "the manifest has 1 layers, the config 2")
def _(image):
    image.config["rootfs"]["diff_ids"] *= 2
    image.put_config()


@lie("diff-ids-swapped", "layer sha256:")
def _(image):
    tar = tar_of(("other", b"x", 0o644))
    image.manifest["layers"].append(image.blob(gzip.compress(tar, mtime=0), LAYER))
    image.config["rootfs"]["diff_ids"].insert(0, digest_of(tar))
    image.put_config()


@lie("diff-id-no-digest", "diff_ids[0] ../x is not a digest")
def _(image):
    image.config["rootfs"]["diff_ids"] = ["../x"]
    image.put_config()


@lie("other-layer", "the registry sent bytes with digest")
def _(image):
    data = bytearray(image.blobs[image.layer()["digest"]])
    data[-8] ^= 1
    image.blobs[image.layer()["digest"]] = bytes(data)


@lie("other-config", "the registry sent bytes with digest")
def _(image):
    of = image.manifest["config"]["digest"]
    image.blobs[of] = image.blobs[of].replace(b"amd64", b"arm64")


@lie("other-entry", "the registry sent a manifest with digest")
def _(image):
    entry = image.become_index((Image(), "linux/amd64", {}))[0]
    image.others[entry["digest"]] = Image(b"\0" * 1024).document()


@lie("says-other-digest", "the registry says digest sha256:" + HEX)
def _(image):
    image.said_digest = "sha256:" + HEX


@lie("no-such-platform", "there are linux/arm/v7, windows/amd64")
def _(image):
    image.become_index((Image(), "linux/arm/v7", {}), (Image(b"\0" * 512), "windows/amd64", {}))


@lie("index-empty", "no image for linux/")
def _(image):
    image.become_index()


@lie("attestation-only", "no image for linux/")
def _(image):
    image.become_index((Image(), "unknown/unknown",
                        {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}))


@lie("foreign", "foreign layer")
def _(image):
    image.layer().update(mediaType=FOREIGN,
                         urls=["http://localhost:{port}/foreign", "https://localhost:{port}/foreign"])
    image.blobs.pop(image.layer()["digest"])


@lie("layer-of-no-type", "application/x-evil")
def _(image):
    image.layer()["mediaType"] = "application/x-evil"


@lie("layer-no-tar", "layer sha256:")
def _(image):
    image.manifest["layers"] = [image.blob(b"\x7fELF" * 100, LAYER)]


# What happens on the way, and what the error says; None: it heals, and the pull works.
FAULTS = {
    "always-500": "status 500", "always-429": "429 Too Many Requests", "layer-truncated": "layer sha256:",
    "manifest-truncated": "manifest-truncated", "layer-endless": "sends more than the",
    "manifest-endless": "longer than the limit of 4194304 bytes", "header-endless": "headers",
    "interim-endless": "headers",
    "busy": None, "cut": None, "escapes": "server message: DENIED: ",
}

# Where the server sends its guests, by a redirect or the realm of a token; and what the error says.
SENDS = {
    "to-http": "http://reg.example/token", "to-link-local": "https://169.254.169.254/latest/meta-data",
    "to-loopback": "https://127.0.0.1:{port}/token", "to-short-loopback": "https://0x7f.1:{port}/token",
    "to-private": "https://10.0.0.1/token", "to-ipv6": "https://[::ffff:7f00:1]:{port}/token",
    "to-file": "file:///etc/passwd", "to-user": "https://user:password@reg.example/token",
}


# --- the server ---

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    images, log, canary = {}, None, "/nowhere"
    n_asked, tls_port = {}, 0

    def log_message(self, *arguments):
        pass

    def image(self, repository):
        if repository not in self.images:
            self.images[repository] = self.make(repository)
        return self.images[repository]

    def make(self, repository):
        if repository == "labels":
            return labelled(self.canary)
        if repository.startswith("archive/"):
            path = "%s.%s.tar" % (self.log, repository.replace("/", "-"))
            hostile.write_archive(repository.split("/")[1], path, self.canary)
            with open(path, "rb") as file:
                return Image(file.read())
        # none has a layer that another one brought
        image = Image(tar_of(("file", repository.encode() * 100, 0o644)))
        honest = {function.__name__.replace("_", "-"): function for function in HONEST}
        LIES.get(repository, (honest.get(repository, fine),))[0](image)
        for layer in image.manifest.get("layers", ()):
            if "urls" in layer:
                layer["urls"] = [url.format(port=self.server.server_port) for url in layer["urls"]]
        return image

    def answer(self, data, kind, name=None, status=200, **headers):
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Content-Digest", name or digest_of(data))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def cut(self, data, start=0):
        """The first half of what is asked for."""
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (start, len(data) - 1, len(data)))
        self.end_headers()
        self.wfile.write(data[start:start + (len(data) - start) // 2])
        self.close_connection = True

    def never_end(self, kind, begin, piece=b" " * 65536):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.close_connection = True
        if kind:
            self.end_headers()
        else:
            self.flush_headers()
        try:
            self.wfile.write(begin)
            for _ in range(100000):
                self.wfile.write(piece)
        except OSError:
            pass

    def range_start(self):
        text = self.headers.get("Range", "")
        return int(text[len("bytes="):-1]) if text else 0

    def send_fault(self, fault, is_layer, image):
        """True: it was one."""
        n = self.n_asked[fault, self.path] = self.n_asked.get((fault, self.path), 0) + 1
        manifest = image.document()
        layer = image.blobs[image.layer()["digest"]]
        if fault == "always-500" or (fault == "busy" and n <= 2):
            self.answer(b"", None, status=500 if fault == "always-500" else 503)
        elif fault == "always-429":
            self.answer(b"", None, status=429, Retry_After="3600")
        elif fault == "escapes":
            self.answer(json.dumps({"errors": [{"code": "DENIED", "message":
                        "a\x1b[2J\x1b]0;t\x07\x1b]52;c;eA==\x07\x1bP1$\x1b\\\r\n#9 DONE 0.1s\n#1 \x9b31m\u202e\x7f\b"}]}
                        ).encode(), "application/json", status=403)
        elif fault == "manifest-truncated" and not is_layer:
            self.cut(manifest)
        elif fault == "manifest-endless":
            self.never_end(MANIFEST, b"{")
        elif fault == "header-endless":
            self.never_end("", b"", b"X-A: %s\r\n" % (b"x" * 60000))
        elif fault == "interim-endless":
            self.close_connection = True
            try:
                while True:
                    self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1000)
            except OSError:
                pass
        elif fault == "layer-truncated" and is_layer:
            self.cut(layer)
        elif fault == "cut" and is_layer and n <= 2:
            self.cut(layer, self.range_start())
        elif fault == "cut" and is_layer:
            start = self.range_start()
            self.answer(layer[start:], None, status=206,
                        Content_Range="bytes %d-%d/%d" % (start, len(layer) - 1, len(layer)))
        elif fault == "layer-endless" and is_layer:
            self.never_end("application/octet-stream", layer)
        else:
            return False
        return True

    def send_away(self, repository):
        """True: it was asked to. A name that ends with -realm names a realm instead."""
        where = SENDS.get(repository.removesuffix("-realm"), "").format(port=self.server.server_port)
        if where and repository.endswith("-realm"):
            self.answer(b"", None, status=401, WWW_Authenticate='Bearer realm="%s",service="x"' % where)
        elif where:
            self.answer(b"", None, status=307, Location=where)
        return bool(where)

    def write_log(self):
        kind = "TLS " if isinstance(self.connection, ssl.SSLSocket) else ""
        with open(self.log, "a", encoding="utf-8") as log:
            log.write("%s%s %s %s\n" % (kind, self.command, self.path, self.headers.get("Range", "")))

    def may_use_proxy(self):
        login = "Basic " + base64.b64encode(b"user:s3cret").decode()
        if self.headers.get("Proxy-Authorization") == login:
            return True
        self.answer(b"", None, status=407, Proxy_Authenticate='Basic realm="x"')
        return False

    def do_CONNECT(self):
        self.write_log()
        self.close_connection = True
        if not self.may_use_proxy():
            return
        with socket.create_connection(("127.0.0.1", self.tls_port)) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=shutil.copyfileobj, args=(there.makefile("rb", 0), self.wfile))
            back.start()
            try:
                shutil.copyfileobj(self.connection.makefile("rb", 0), there.makefile("wb", 0))
                there.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            back.join()

    def do_GET(self):
        self.write_log()
        if self.path.startswith("http://"):
            if not self.may_use_proxy():
                return
            self.path = "/" + self.path.split("/", 3)[3]
        kind = "/manifests/" if "/manifests/" in self.path else "/blobs/"
        repository, _, name = self.path[len("/v2/"):].partition(kind)
        if not self.path.startswith("/v2/") or not name:
            self.answer(b"{}", "application/json", status=200 if self.path == "/v2/" else 404)
            return
        if self.send_away(repository):
            return
        image = self.image(repository)
        is_layer = kind == "/blobs/" and name == image.manifest.get("layers", [{}])[0].get("digest")
        if repository in FAULTS and self.send_fault(repository, is_layer, image):
            return
        if kind == "/blobs/" and name in image.blobs:
            self.answer(image.blobs[name], "application/octet-stream", name)
        elif kind == "/manifests/" and name in image.others:
            type_of = json.loads(image.others[name]).get("mediaType", MANIFEST)
            self.answer(image.others[name], type_of, digest_of(image.others[name]))
        elif kind == "/manifests/":
            self.answer(image.document(), image.content_type, image.said_digest)
        else:
            self.answer(b'{"errors": [{"code": "BLOB_UNKNOWN"}]}', "application/json", status=404)


def listen(port_file, wrap=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if wrap:
        server.socket = wrap(server.socket)
    with open(port_file + ".new", "w", encoding="utf-8") as file:
        file.write(str(server.server_port))
    os.rename(port_file + ".new", port_file)
    return server


def serve(port_file, canary="/nowhere", certificate=None, key=None):
    Handler.log, Handler.canary = port_file + ".log", canary
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        server = listen(port_file + ".tls", lambda plain: tls.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False))
        Handler.tls_port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
    listen(port_file).serve_forever()


def main():
    words = sys.argv[1:]
    if words[:1] == ["lies"]:
        for name, (_, error) in LIES.items():
            print(name, error, sep="\t")
    elif words[:1] == ["digests"]:
        print("\n".join(bad for bad in BAD_DIGESTS if bad.isascii() and bad.isprintable()))
    elif words[:1] == ["serve"]:
        serve(*words[1:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
