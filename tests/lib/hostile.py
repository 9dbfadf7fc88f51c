#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Archives that mean harm, for tests.

    hostile.py names                        list the hostile archives
    hostile.py archives FOLDER CANARY       write them: NAME.tar; and what becomes of each as a layer
                                            and by ADD, NAME.layer and NAME.add
    hostile.py bomb gzip|zstd|xz|bzip2 FILE  4 GiB of zeros
    hostile.py tree FILE CANARY             the tree in an archive
"""
import io
import os
import subprocess
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


ARCHIVES = {}
TREE = {"layer": {}, "add": {}}


def hostile(layer, add=None):
    """What becomes of an archive as a layer and by ADD, where that differs: a tree as tree_of() shows
    it, or after a "!" what the error says. The canary is a folder with a file f that must stay as it is;
    within the image its path is a path like another one, C."""
    def note(function):
        name = function.__name__.replace("_", "-")
        ARCHIVES[name] = function
        TREE["layer"][name], TREE["add"][name] = layer, layer if add is None else add
        return function
    return note


# --- out of the root, by name ---

@hostile("C/f C/new", "!its name leads out of the archive")
def dotdot(tar, canary):
    tar.add("../" * 12 + canary + "/f", data=b"evil")
    tar.add("a/../../../../../../../../.." + canary + "/new", data=b"evil")


@hostile("C/f C/new")
def absolute(tar, canary):
    tar.add(canary + "/f", data=b"evil")
    tar.add("//" + canary + "/new", data=b"evil")


@hostile("C/f C/new d@")
def absolute_link(tar, canary):
    tar.link("d", canary)
    tar.add("d/f", data=b"evil")
    tar.add("d/new", data=b"evil")


@hostile("C/new d@")
def relative_link(tar, canary):
    tar.link("d", "../" * 20 + canary.lstrip("/"))
    tar.add("d/new", data=b"evil")


@hostile("!the directory a: ")
def link_loop(tar, canary):
    tar.link("a", "b")
    tar.link("b", "a")
    tar.add("a/new", data=b"evil")


@hostile("..\\..\\f")
def backslash(tar, canary):
    tar.add("..\\..\\f", data=b"x")


# --- hard links ---

@hostile("!hard link to ")
def hard_link(tar, canary):
    tar.add("h", tarfile.LNKTYPE, canary + "/f")
    tar.add("h", data=b"evil")


@hostile("!hard link to ")
def hard_link_dotdot(tar, canary):
    tar.add("i", tarfile.LNKTYPE, "../" * 20 + canary.lstrip("/") + "/f")


@hostile("!hard link to l/f")
def hard_link_through_link(tar, canary):
    tar.link("l", canary)
    tar.add("h", tarfile.LNKTYPE, "l/f")


@hostile("!it is no file, but has 4 bytes")
def hard_link_with_data(tar, canary):
    tar.link("l", canary + "/f")
    tar.add("h", tarfile.LNKTYPE, "l", data=b"evil")


@hostile("h@ l")
def mode_through_hard_link(tar, canary):
    tar.link("l", canary + "/f")
    tar.add("h", tarfile.LNKTYPE, "l", mode=0o777, pax={"SCHILY.xattr.user.x": "y", "mtime": "5"})


@hostile("h l@")
def write_through_hard_link(tar, canary):
    tar.link("l", canary + "/f")
    tar.add("h", tarfile.LNKTYPE, "l")
    tar.add("h", data=b"evil", mode=0o777)


# --- the root, and what changes its kind ---

@hostile("!it would replace the root directory")
def root_link(tar, canary):
    tar.link(".", canary)
    tar.add("f", data=b"evil")


@hostile("!it would replace the root directory")
def root_link_slash(tar, canary):
    tar.link("./", canary)
    tar.add("./new", data=b"evil")


@hostile("!it would replace the root directory")
def root_file(tar, canary):
    tar.add(".", data=b"")


@hostile("!it would replace the root directory")
def root_hard_link(tar, canary):
    tar.add("f", data=b"x")
    tar.add("./.", tarfile.LNKTYPE, "f")


@hostile("d/ e")
def mode_through_link(tar, canary):
    tar.link("d", canary)
    tar.add("d", tarfile.DIRTYPE, mode=0o777)
    tar.link("e", canary + "/f")
    tar.add("e", mode=0o777, data=b"")


@hostile("C/new d@")
def folder_to_link(tar, canary):
    tar.add("d", tarfile.DIRTYPE, mode=0o700, pax={"mtime": "5"})
    tar.link("d", canary)
    tar.add("d/new", data=b"evil")


@hostile("a b/ b/x")
def names_twice(tar, canary):
    tar.add("a", tarfile.DIRTYPE, mode=0o755)
    tar.add("a/x", data=b"x")
    tar.link("a", canary + "/f")
    tar.add("a", data=b"last")
    tar.add("b", data=b"x")
    tar.add("b", tarfile.DIRTYPE, mode=0o755)
    tar.add("b/x", data=b"x")


@hostile("!the directory a: a is not a directory")
def file_as_parent(tar, canary):
    tar.add("a", data=b"x")
    tar.add("a/b", data=b"x")


# --- whiteouts, which are names like others to ADD ---

@hostile("!a whiteout of nothing", ".wh... a/ a/.wh...")
def whiteout_dotdot(tar, canary):
    tar.add(".wh...", data=b"")
    tar.add("a/.wh...", data=b"")


@hostile("!a whiteout of nothing", ".wh..")
def whiteout_dot(tar, canary):
    tar.add(".wh..", data=b"")


@hostile("!a whiteout of nothing", ".wh.")
def whiteout_empty(tar, canary):
    tar.add(".wh.", data=b"")


@hostile("!something below a whiteout", ".wh.a/ .wh.a/f")
def whiteout_as_parent(tar, canary):
    tar.add(".wh.a/f", data=b"")


@hostile("!a whiteout that is no file", ".wh.a@")
def whiteout_as_link(tar, canary):
    tar.link(".wh.a", canary)


@hostile("!a whiteout that is no file", ".wh.a/")
def whiteout_as_folder(tar, canary):
    tar.add(".wh.a", tarfile.DIRTYPE, mode=0o755)


@hostile("!a whiteout that is no file", "d/ d/.wh..wh..opq@")
def opaque_as_link(tar, canary):
    tar.link("d/.wh..wh..opq", canary)


@hostile("d/ d/before d/behind", "d/ d/.wh..wh..opq d/before d/behind")
def opaque_between(tar, canary):
    tar.add("d/before", data=b"x")
    tar.add("d/.wh..wh..opq", data=b"")
    tar.add("d/behind", data=b"x")


@hostile("d@", "C/.wh..wh..opq C/.wh.f d@")
def whiteout_through_link(tar, canary):
    tar.link("d", canary)
    tar.add("d/.wh.f", data=b"")
    tar.add("d/.wh..wh..opq", data=b"")


@hostile("a")
def whiteout_device(tar, canary):
    tar.add("a", data=b"x")
    tar.add("null", tarfile.CHRTYPE)
    tar.add("a", tarfile.CHRTYPE)


@hostile("d/ d/f")
def overlay_attributes(tar, canary):
    tar.add("d", tarfile.DIRTYPE, mode=0o755, pax={
        "SCHILY.xattr.trusted.overlay.redirect": canary, "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.user.overlay.redirect": canary, "SCHILY.xattr.user.overlay.opaque": "y"})
    tar.add("d/f", data=b"", pax={"SCHILY.xattr.trusted.overlay.metacopy": "",
                                  "SCHILY.xattr.user.overlay.metacopy": ""})


# --- limits ---

@hostile("!a part of its name is longer than the limit of 255 bytes")
def part_too_long(tar, canary):
    tar.add("y" * 300, data=b"evil")


@hostile("!longer than the limit of 4096 bytes")
def name_too_long(tar, canary):
    tar.add("/".join(["x" * 200] * 30), data=b"evil")


@hostile("!more than the limit of 1024 directories deep")
def deep(tar, canary):
    tar.add("/".join(["d"] * 1500) + "/f", data=b"evil")


@hostile("!its xattrs are larger than the limit of 65536 bytes")
def attributes_too_large(tar, canary):
    tar.add("f", data=b"", pax={f"SCHILY.xattr.user.{i}": "v" * 1000 for i in range(70)})


@hostile("!an extension header of ")
def header_too_large(tar, canary):
    tar.add("f", data=b"", pax={"comment": "c" * (1 << 20)})


@hostile("!bytes are more than the limit of 34359738368 for a whole layer")
def size_too_large(tar, canary):
    info = tarfile.TarInfo("f")
    info.size = 1 << 40
    tar.tar.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))


@hostile("a\\n\\x1b[2Jb")
def newlines(tar, canary):
    tar.add("a\n\033[2Jb", data=b"x")


def tree_of(path, canary):
    """Names, sorted: / behind a folder, @ behind a symlink; the folders above the canary left out."""
    names = []
    with tarfile.open(path) as tar:
        for member in tar:
            name = member.name.strip("/")
            if member.isdir() and (canary + "/").startswith("/" + name + "/"):
                continue
            name = ("/" + name).replace(canary + "/", "C/").lstrip("/")
            name = name.replace("\n", "\\n").replace("\033", "\\x1b")
            names.append(name + ("/" if member.isdir() else "@" if member.issym() else ""))
    return " ".join(sorted(names))


def write_all(folder, canary):
    for name in ARCHIVES:
        write_archive(name, f"{folder}/{name}.tar", canary)
        for kind, wanted in TREE.items():
            with open(f"{folder}/{name}.{kind}", "w") as file:
                file.write(wanted[name] + "\n")


def write_archive(name, path, canary):
    archive = Archive(path)
    ARCHIVES[name](archive, canary)
    archive.tar.close()


BOMB_BYTES = 4 << 30
COMPRESSORS = {"gzip": "gzip -9", "zstd": "zstd -q", "xz": "xz -0", "bzip2": "bzip2 -1"}


def write_bomb(kind, path):
    """4 GiB of zeros, as members that compress to the same bytes: only one of them is compressed."""
    info = tarfile.TarInfo("zeros")
    info.size = BOMB_BYTES
    head = info.tobuf(tarfile.USTAR_FORMAT)
    compress = COMPRESSORS[kind].split()
    zeros = subprocess.run(compress, input=bytes(64 << 20), stdout=subprocess.PIPE, check=True).stdout
    with open(path, "wb") as file:
        file.write(subprocess.run(compress, input=head, stdout=subprocess.PIPE, check=True).stdout)
        for _ in range(BOMB_BYTES // (64 << 20)):
            file.write(zeros)
        file.write(subprocess.run(compress, input=bytes(1024), stdout=subprocess.PIPE, check=True).stdout)


def main():
    words = sys.argv[1:]
    if words[:1] == ["names"]:
        print("\n".join(ARCHIVES))
    elif words[:1] == ["archives"]:
        write_all(words[1], words[2])
    elif words[:1] == ["bomb"]:
        write_bomb(words[1], words[2])
    elif words[:1] == ["tree"]:
        print(tree_of(words[1], words[2]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
