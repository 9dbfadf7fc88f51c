#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Archives that mean harm, for tests.

    hostile.py archive NAME FILE [CANARY]   write one hostile archive
    hostile.py names                        list them
"""
import io
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


def main():
    words = sys.argv[1:]
    if words[:1] == ["names"]:
        print("\n".join(ARCHIVES))
    elif words[:1] == ["archive"]:
        write_archive(words[1], words[2], words[3])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
