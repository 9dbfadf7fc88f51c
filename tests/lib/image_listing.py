# SPDX-License-Identifier: Apache-2.0
"""What is in an image, as text that is the same each time: for each layer its entries (mode, owner,
size, time, name, target, xattrs), then the config without times and digests.

    image_listing.py IMAGE.tar      an OCI layout, as cob writes it
"""
import io
import json
import stat
import sys
import tarfile
import time


def read_blob(layout, digest):
    return layout.extractfile("blobs/" + digest.replace(":", "/")).read()


def show_mode(entry):
    kinds = {
        tarfile.DIRTYPE: stat.S_IFDIR,
        tarfile.SYMTYPE: stat.S_IFLNK,
        tarfile.FIFOTYPE: stat.S_IFIFO,
        tarfile.CHRTYPE: stat.S_IFCHR,
        tarfile.BLKTYPE: stat.S_IFBLK,
    }
    text = stat.filemode(kinds.get(entry.type, stat.S_IFREG) | entry.mode)
    return "h" + text[1:] if entry.islnk() else text


def show_entry(entry):
    is_new = entry.mtime > time.time() - 86400
    words = [
        show_mode(entry),
        f"{entry.uid}:{entry.gid}",
        str(entry.size),
        "now" if is_new else str(int(entry.mtime)),
        "/" + entry.name.lstrip("./"),
    ]
    if entry.issym() or entry.islnk():
        words += ["->", entry.linkname]
    for key in sorted(entry.pax_headers):
        if key.startswith("SCHILY.xattr."):
            words.append(key[len("SCHILY.xattr."):] + "=" + ascii(entry.pax_headers[key]))
    return " ".join(words)


def show_layer(blob):
    with tarfile.open(fileobj=io.BytesIO(blob)) as layer:
        entries = sorted(layer.getmembers(), key=lambda entry: entry.name)
        return [show_entry(entry) for entry in entries if entry.name.strip("./")]


def without_times(config):
    """Times come with layers: where there are any, nothing may lack one."""
    n_layers = len(config["rootfs"]["diff_ids"] or [])
    times = [config.pop("created", None)]
    times += [entry.pop("created", None) for entry in config.get("history", [])]
    assert all(times) if n_layers else not any(times), times
    config["rootfs"]["diff_ids"] = n_layers
    return config


def main(path):
    with tarfile.open(path) as layout:
        index = json.load(layout.extractfile("index.json"))
        manifest = json.loads(read_blob(layout, index["manifests"][0]["digest"]))
        config = json.loads(read_blob(layout, manifest["config"]["digest"]))
        for number, layer in enumerate(manifest["layers"], 1):
            print(f"layer {number}")
            for line in show_layer(read_blob(layout, layer["digest"])):
                print("  " + line)
        print(json.dumps(without_times(config), indent=2, ensure_ascii=False))


main(sys.argv[1])
