#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write an artifact of cache mounts into a folder, by docs/cache-mount-format.md and not by cob's code:
mount_artifact.py FOLDER KIND. "good" is one that must be imported; the others are hostile."""
import hashlib
import json
import os
import subprocess
import sys

folder, kind = sys.argv[1:]


def number(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def text(data):
    return number(len(data)) + data


def sha(data):
    return hashlib.sha256(data).digest()


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


def put(data):
    digest = hashlib.sha256(data).hexdigest()
    os.makedirs(f"{folder}/blobs/sha256", exist_ok=True)
    with open(f"{folder}/blobs/sha256/{digest}", "wb") as file:
        file.write(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def entry(path, what, tail=b"", before=b""):
    return number(0) + text(path) + bytes([what]) + number(0o755) + number(0) + number(0) + bytes(8) + tail


plain = b"hello, cache\n"
stored = zstd(plain)
plain_len, chunk_sha, chunk_len = len(plain), sha(plain), len(plain)
rows = [entry(b"", 1), entry(b"file", 2, number(1) + number(0))]
n_rows = None
plain_index_len = None
if kind == "bomb":
    stored = zstd(bytes(1 << 30))
elif kind == "short-pack":
    stored = zstd(plain[:-1])
elif kind == "no-zstd":
    stored = plain
elif kind == "cut-pack":
    stored = stored[:-4]
elif kind == "wrong-chunk":
    chunk_sha = sha(b"something else")
elif kind == "dotdot":
    rows.insert(1, entry(b"..", 1))
elif kind == "absolute":
    rows.insert(1, entry(b"/etc/x", 2, number(1) + number(0)))
elif kind == "symlink-parent":
    rows += [entry(b"link", 3, text(b"/etc")), entry(b"link/x", 2, number(1) + number(0))]
elif kind == "twice":
    rows.append(rows[-1])
elif kind == "many":
    n_rows = 10**7
elif kind == "chunk-outside":
    chunk_len += 1
pack = put(stored)
if kind == "damaged-pack":
    with open(f"{folder}/blobs/sha256/{pack['digest'][7:]}", "r+b") as file:
        file.seek(8)
        file.write(b"\xff\xff\xff")
if kind == "no-pack":
    os.remove(f"{folder}/blobs/sha256/{pack['digest'][7:]}")
index = b"cobmnt01" + text(b"") + text(b"go")
index += number(1) + bytes.fromhex(pack["digest"][7:]) + number(pack["size"]) + number(plain_len)
index += number(1) + chunk_sha + number(0) + number(0) + number(chunk_len)
index += number(1) + number(1) + number(0)
index += number(n_rows or len(rows)) + b"".join(rows)
if kind == "index-bomb":
    plain_index_len, index = 1 << 34, bytes(1 << 20)
index_row = put(zstd(index)) | {
    "mediaType": "application/vnd.cob.cachemount.index.v1+zstd",
    "annotations": {"vnd.cob.mount.id": "go", "vnd.cob.mount.namespace": "", "vnd.cob.mount.files": "1",
                    "vnd.cob.mount.bytes": "13", "vnd.cob.mount.index-bytes": str(plain_index_len or len(index))},
}
layers = [index_row, pack | {"mediaType": "application/vnd.cob.cachemount.pack.v1+zstd"}]
manifest_type = "application/vnd.oci.image.manifest.v1+json"
manifest = put(json.dumps({
    "schemaVersion": 2, "mediaType": manifest_type,
    "artifactType": "application/vnd.cob.cachemounts.v1+json",
    "config": put(b"{}") | {"mediaType": "application/vnd.oci.empty.v1+json"}, "layers": layers}).encode())
with open(f"{folder}/oci-layout", "w") as file:
    file.write('{"imageLayoutVersion":"1.0.0"}')
with open(f"{folder}/index.json", "w") as file:
    json.dump({"schemaVersion": 2, "manifests": [manifest | {
        "mediaType": manifest_type, "annotations": {"org.opencontainers.image.ref.name": "latest"}}]}, file)
