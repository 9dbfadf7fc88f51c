#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Archives and registries that mean harm, for tests.

    hostile.py archive NAME FILE [CANARY]   write one hostile archive
    hostile.py names                        list them
    hostile.py registry PORTFILE MODE       serve one image wrongly: see MODES; ends when killed
"""
import gzip
import hashlib
import http.server
import io
import json
import os
import sys
import tarfile


class Archive:
    def __init__(self, path):
        self.tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)

    def add(self, name, kind=tarfile.REGTYPE, link="", data=b"", mode=0o644, pax=None):
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode, info.size = kind, link, mode, len(data)
        info.pax_headers = pax or {}
        self.tar.addfile(info, io.BytesIO(data))

    def link(self, name, target):
        self.add(name, tarfile.SYMTYPE, target)


# What each writes; the canary is, a folder with a file f that must stay as it is.
def dotdot(tar, canary):
    tar.add("../" * 12 + canary + "/f", data=b"evil")
    tar.add("a/../../../../../../../../.." + canary + "/new", data=b"evil")


def absolute(tar, canary):
    tar.add(canary + "/f", data=b"evil")
    tar.add("//" + canary + "/new", data=b"evil")


def absolute_link(tar, canary):
    tar.link("d", canary)
    tar.add("d/f", data=b"evil")
    tar.add("d/new", data=b"evil")


def relative_link(tar, canary):
    tar.link("d", "../" * 20 + canary.lstrip("/"))
    tar.add("d/new", data=b"evil")


def hard_link(tar, canary):
    tar.add("h", tarfile.LNKTYPE, canary + "/f")
    tar.add("h", data=b"evil")
    tar.add("i", tarfile.LNKTYPE, "../" * 20 + canary.lstrip("/") + "/f")


def hard_link_through_link(tar, canary):
    tar.link("l", canary)
    tar.add("h", tarfile.LNKTYPE, "l/f")


def hard_link_with_data(tar, canary):
    tar.link("l", canary + "/f")
    tar.add("h", tarfile.LNKTYPE, "l", data=b"evil")


def root_link(tar, canary):
    tar.link(".", canary)
    tar.add("f", data=b"evil")
    tar.add("new", data=b"evil")


def root_link_slash(tar, canary):
    tar.link("./", canary)
    tar.add("./new", data=b"evil")


def mode_through_link(tar, canary):
    tar.link("d", canary)
    tar.add("d", tarfile.DIRTYPE, mode=0o777)
    tar.link("e", canary + "/f")
    tar.add("e", mode=0o777, data=b"")


def folder_to_link(tar, canary):
    tar.add("d", tarfile.DIRTYPE, mode=0o700)
    tar.link("d", canary)
    tar.add("d/new", data=b"evil")


def whiteout_dotdot(tar, canary):
    tar.add(".wh...", data=b"")
    tar.add("a/.wh...", data=b"")
    tar.add(".wh..", data=b"")


def whiteout_through_link(tar, canary):
    tar.link("d", canary)
    tar.add("d/.wh.f", data=b"")
    tar.add("d/.wh..wh..opq", data=b"")


def whiteout_empty(tar, canary):
    tar.add(".wh.", data=b"")


def overlay_attributes(tar, canary):
    tar.add("d", tarfile.DIRTYPE, mode=0o755, pax={
        "SCHILY.xattr.trusted.overlay.redirect": canary, "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.user.overlay.redirect": canary})


def whiteout_device(tar, canary):
    info = tarfile.TarInfo("null")
    info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 0, 0
    tar.tar.addfile(info)


def name_too_long(tar, canary):
    tar.add("/".join(["x" * 200] * 30), data=b"evil")
    tar.add("y" * 300, data=b"evil")


def deep(tar, canary):
    tar.add("/".join(["d"] * 3000) + "/f", data=b"evil")


def newlines(tar, canary):
    tar.add("a\n\033[2Jb", data=b"x")


ARCHIVES = {function.__name__.replace("_", "-"): function for function in (
    dotdot, absolute, absolute_link, relative_link, hard_link, hard_link_through_link,
    hard_link_with_data, root_link, root_link_slash, mode_through_link, folder_to_link,
    whiteout_dotdot, whiteout_through_link, whiteout_empty, overlay_attributes, whiteout_device,
    name_too_long, deep, newlines)}


def write_archive(name, path, canary):
    archive = Archive(path)
    ARCHIVES[name](archive, canary)
    archive.tar.close()


# --- a registry that lies ---

def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def image(layer_tar, diff_id=None):
    layer = gzip.compress(layer_tar, mtime=0)
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id or digest_of(layer_tar)]}}).encode()
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                   "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": digest_of(layer), "size": len(layer)}]}
    return manifest, config, layer


def small_tar(archive=None):
    if archive:
        with open(archive, "rb") as file:
            return file.read()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("file")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    return out.getvalue()


# What is wrong with the image; "fine" is the control.
MODES = ("fine", "wrong-layer", "wrong-config", "wrong-diff-id", "layer-truncated", "layer-endless",
         "manifest-endless", "manifest-truncated", "manifest-no-json", "size-small", "size-big",
         "size-negative", "size-text", "digest-path", "both-kinds", "status-500", "archive")


class Liar:
    def __init__(self, mode, archive=None):
        self.mode = mode
        tar = small_tar(archive)
        manifest, self.config, self.layer = image(tar, digest_of(b"x") if mode == "wrong-diff-id" else None)
        self.names = (manifest["config"]["digest"], manifest["layers"][0]["digest"])
        layer = manifest["layers"][0]
        if mode == "wrong-layer":
            self.layer = bytes([self.layer[0], self.layer[1], self.layer[2]]) + b"\0" * (len(self.layer) - 3)
        if mode == "wrong-config":
            self.config = self.config.replace(b"amd64", b"arm64")
        layer["size"] = {"size-small": layer["size"] - 1, "size-big": layer["size"] + 1,
                         "size-negative": -1, "size-text": "many"}.get(mode, layer["size"])
        if mode == "digest-path":
            layer["digest"] = "sha256:../../../../../../tmp/x"
        if mode == "both-kinds":
            manifest["manifests"] = []
        self.manifest = json.dumps(manifest).encode()
        if mode == "manifest-no-json":
            self.manifest = b"[" * 200000


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    liar = None

    def log_message(self, *arguments):
        pass

    def answer(self, data, kind, name=None):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Content-Digest", name or digest_of(data))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def cut(self, data, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:len(data) // 2])
        self.close_connection = True

    def never_end(self, kind, begin):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.close_connection = True
        try:
            self.wfile.write(begin)
            for _ in range(100000):
                self.wfile.write(b" " * 65536)
        except OSError:
            pass

    def send_manifest(self):
        kind = "application/vnd.oci.image.manifest.v1+json"
        if self.liar.mode == "manifest-endless":
            self.never_end(kind, b"{")
        elif self.liar.mode == "manifest-truncated" and self.command != "HEAD":
            self.cut(self.liar.manifest, kind)
        else:
            self.answer(self.liar.manifest, kind)

    def send_layer(self):
        kind = "application/octet-stream"
        if self.liar.mode == "layer-endless":
            self.never_end(kind, self.liar.layer)
        elif self.liar.mode == "layer-truncated":
            self.cut(self.liar.layer, kind)
        else:
            self.answer(self.liar.layer, kind)

    def do_GET(self):
        if self.liar.mode == "status-500":
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/v2/":
            self.answer(b"{}", "application/json")
        elif "/manifests/" in self.path:
            self.send_manifest()
        elif self.path.endswith(self.liar.names[0]):
            self.answer(self.liar.config, "application/octet-stream", self.liar.names[0])
        elif self.path.endswith(self.liar.names[1]):
            self.send_layer()
        else:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

    do_HEAD = do_GET


def serve(port_file, mode, archive=None):
    Handler.liar = Liar(mode, archive)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with open(port_file + ".new", "w") as file:
        file.write(str(server.server_port))
    os.rename(port_file + ".new", port_file)
    server.serve_forever()


def main():
    words = sys.argv[1:]
    if words[:1] == ["names"]:
        print("\n".join(ARCHIVES))
    elif words[:1] == ["modes"]:
        print("\n".join(MODES))
    elif words[:1] == ["archive"]:
        write_archive(words[1], words[2], words[3])
    elif words[:1] == ["registry"]:
        serve(*words[1:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
