#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Archives of headers that are right, odd or wrong: mixes.py COUNT SEED writes 0.tar, 1.tar ...

Beside each, what Python's tarfile sees in it: 0.python and so on, a line "type name size link" a
member, and "error" where it gives up.
"""
import random
import re
import sys
import tarfile

R = random.Random()
USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \0", bytes(8)


def header(name, typ=b"0", size=0, link="", magic=USTAR, prefix="", field=None, extra=(), sum_form=b"%06o\0 "):
    block = bytearray(512)

    def put(at, value):
        block[at:at + len(value)] = value
    put(0, name.encode()[:100])
    put(100, b"0000644\0")
    put(108, b"0000000\0")
    put(116, b"0000000\0")
    put(124, field or b"%011o\0" % size)
    put(136, b"%011o\0" % 9)
    put(156, typ)
    put(157, link.encode()[:100])
    put(257, magic)
    put(345, prefix.encode())
    for at, value in extra:
        put(at, value)
    put(148, b" " * 8)
    put(148, sum_form % sum(block))
    return bytes(block)


def data(content):
    return content + bytes(-len(content) % 512)


def records(*texts):
    out = b""
    for text in texts:
        text = text.encode()
        n = len(text) + 3
        while len(str(n)) + len(text) + 2 != n:
            n = len(str(n)) + len(text) + 2
        out += b"%d %s\n" % (n, text)
    return out


def pax(*texts, typ=b"x", damage=None):
    out = records(*texts)
    if damage:
        out = damage(out)
    return header("PaxHeaders/x", typ, len(out)) + data(out)


def long_text(typ, text, end=b"\0", **kw):
    text = text.encode() + end
    return header("././@LongLink", typ, len(text), magic=kw.pop("magic", GNU), **kw) + data(text)


def octal12(n):
    return b"%011o\0" % n


def binary12(n):
    return bytes([128]) + n.to_bytes(11, "big")


# --- what may stand before a member, or be odd about it: (name, content, keywords) -> the same, and
# the bytes before it ---

def before(make):
    return lambda n, d, kw: (n, d, kw, make(n, d))


def keyword(**more):
    return lambda n, d, kw: (n, d, {**kw, **more}, b"")


def old_sparse(n, d, kw):
    """GNU's own way: four extents in the header, more behind it."""
    extents, at = [], 0
    for size in R.choice(([len(d)], [512, len(d) - 512], [100, 412, len(d) - 512], [512] * 6)):
        at += R.choice((0, 512, 1000))
        extents.append((at, max(size, 0)))
        at += max(size, 0)
    d = b"s" * sum(size for _, size in extents)
    real = at + R.choice((0, 0, 512, 5, -1))
    extra = [(386 + 24 * i, octal12(o) + octal12(s)) for i, (o, s) in enumerate(extents[:4])]
    extra.append((483, octal12(real)))
    more = extents[4:]
    if more:
        extra.append((482, b"\1"))
        block = bytearray(512)
        for i, (o, s) in enumerate(more):
            block[24 * i:24 * i + 24] = octal12(o) + octal12(s)
        kw["map"] = bytes(block)
    return n, d, {**kw, "typ": b"S", "magic": R.choice((GNU, GNU, GNU, USTAR)), "extra": extra}, b""


def sparse_00(n, d, kw):
    lines = [f"GNU.sparse.size={len(d) + 700}", "GNU.sparse.numblocks=2", "GNU.sparse.offset=0",
             f"GNU.sparse.numbytes={len(d) // 2}", f"GNU.sparse.offset={len(d) // 2 + 700}",
             f"GNU.sparse.numbytes={len(d) - len(d) // 2}"]
    if R.random() < .3:
        lines[R.randrange(len(lines))] = R.choice(("comment=x", "GNU.sparse.numblocks=3", "GNU.sparse.offset=9"))
    return n, d, kw, pax(*lines)


def sparse_01(n, d, kw):
    lines = [f"GNU.sparse.size={len(d) + 700}", "GNU.sparse.numblocks=2", f"GNU.sparse.name=sparse/{n}",
             f"GNU.sparse.map=0,{len(d) // 2},{len(d) // 2 + 700},{len(d) - len(d) // 2}"]
    if R.random() < .3:
        lines[R.randrange(len(lines))] = R.choice(("comment=x", f"path=p/{n}", "GNU.sparse.numblocks=1",
                                                   "GNU.sparse.map=1,2,3"))
    return n, d, kw, pax(*lines)


def sparse_10(n, d, kw):
    half = len(d) // 2
    text = f"2\n0\n{half}\n{half + 700}\n{len(d) - half}\n".encode()
    lines = ["GNU.sparse.major=1", "GNU.sparse.minor=0", f"GNU.sparse.name=sparse/{n}",
             f"GNU.sparse.realsize={len(d) + 700}"]
    if R.random() < .3:
        lines[R.randrange(len(lines))] = R.choice(("comment=x", f"path=p/{n}", "GNU.sparse.major=2",
                                                   "GNU.sparse.size=7"))
    if R.random() < .2:
        text = R.choice((text[:-1], b"x" + text, text.replace(b"2\n", b"9\n", 1), b"0\n"))
    return n, data(text) + d, kw, pax(*lines)


def lying_size(*sizes):
    return before(lambda n, d: pax(f"size={R.choice(sizes)}"))


def damaged(damage, *texts):
    return before(lambda n, d: pax(*(texts or (f"path=p/{n}", "comment=x")), damage=damage))


ODD = {
    # pax records
    "path": before(lambda n, d: pax(f"path=p/{n}")),
    "path-slash": before(lambda n, d: pax(f"path=p/{n}/")),
    "path-empty": before(lambda n, d: pax("path=")),
    "path-nul": before(lambda n, d: pax(f"path=p/{n}\0hidden")),
    "path-twice": before(lambda n, d: pax(f"path=p/{n}", f"path=q/{n}")),
    "path-then-empty": before(lambda n, d: pax(f"path=p/{n}", "path=")),
    "path-global": before(lambda n, d: pax(f"path=g/{n}", typ=b"g")),
    "path-global-own": before(lambda n, d: pax(f"path=g/{n}", typ=b"g") + pax(f"path=p/{n}")),
    "linkpath": before(lambda n, d: pax("linkpath=elsewhere")),
    "linkpath-empty": before(lambda n, d: pax("linkpath=")),
    "charset": before(lambda n, d: pax("hdrcharset=BINARY", f"path=p/{n}")),
    "times": before(lambda n, d: pax("mtime=12.5", "atime=1", "ctime=-3.25", "comment=x")),
    "bad-time": before(lambda n, d: pax(R.choice(("mtime=x", "mtime=1.x", "mtime=", "atime=y")))),
    "ids": before(lambda n, d: pax("uid=70000", "gid=3", "uname=u", "gname=g")),
    "bad-ids": before(lambda n, d: pax(R.choice(("uid=-1", "uid=x", "gid=99999999999", "uid= 5")))),
    "xattr": before(lambda n, d: pax("SCHILY.xattr.user.a=b", "LIBARCHIVE.xattr.user.c=ZA==")),
    "vendor": before(lambda n, d: pax("VENDOR.key=v", "SCHILY.dev=5", "SCHILY.ino=6")),
    "realsize": before(lambda n, d: pax(f"SCHILY.realsize={len(d) + 512}")),
    "two-pax": before(lambda n, d: pax(f"path=p/{n}") + pax(f"path=q/{n}")),
    "two-pax-other": before(lambda n, d: pax(f"path=p/{n}") + pax("comment=q")),
    # sizes
    "size": before(lambda n, d: pax(f"size={len(d)}")),
    "size-more": before(lambda n, d: pax(f"size={len(d) + 1}")),
    "size-less": before(lambda n, d: pax(f"size={max(len(d) - 1, 0)}")),
    "size-hides": lying_size(512, 1024, 1536, 2048),
    "size-odd": lying_size("0x10", " 0", "+0", "0 ", "-1", "", "00", "1e1", "9" * 30, "18446744073709551616", "0\0"),
    "size-twice": before(lambda n, d: pax(f"size={len(d)}", "size=1024")),
    "size-global": before(lambda n, d: pax("size=1024", typ=b"g")),
    "size-header-0": lambda n, d, kw: (n, d, {**kw, "field": b"00000000000\0"}, pax(f"size={len(d)}")),
    "size-of-long": before(lambda n, d: pax("size=1024") + long_text(b"L", f"l/{n}")),
    "size-of-long-0": before(lambda n, d: pax("size=0") + long_text(b"L", f"l/{n}")),
    "long-then-size": before(lambda n, d: long_text(b"L", f"l/{n}") + pax("size=1024")),
    "size-of-pax": before(lambda n, d: pax("size=512") + pax(f"path=p/{n}")),
    "size-field": lambda n, d, kw: (n, d, {**kw, "field": R.choice((
        b"%011o " % len(d), b"%010o \0" % len(d), b" %010o\0" % len(d), b"%012o" % len(d), b"%o\0" % len(d),
        (b"%o " % len(d)).rjust(12), binary12(len(d)), b"\0" * 12, b" " * 12, b"%08o\0abc" % len(d),
        b"\xff" * 12, b"\x80" + b"\xff" * 11, b"\xff" + bytes(11), b"-%010o\0" % len(d), b"%010x\0\0" % len(d),
        b"\x80\x00\x00\x01" + len(d).to_bytes(8, "big"), b"0o%08o\0\0" % len(d), b"9" * 11 + b"\0",
        b"\xc0" + len(d).to_bytes(11, "big")))}, b""),
    # GNU's long names
    "long": before(lambda n, d: long_text(b"L", "l/" + n * 60)),
    "long-short": before(lambda n, d: long_text(b"L", "l/" + n)),
    "long-no-nul": before(lambda n, d: long_text(b"L", "l/" + n * 60, end=b"")),
    "long-nuls": before(lambda n, d: long_text(b"L", "l/" + n * 60, end=bytes(9))),
    "long-nul-inside": before(lambda n, d: long_text(b"L", f"l/{n}\0hidden")),
    "long-empty": before(lambda n, d: long_text(b"L", "")),
    "long-slash": before(lambda n, d: long_text(b"L", f"l/{n}/")),
    "long-ustar": before(lambda n, d: long_text(b"L", "l/" + n * 60, magic=USTAR)),
    "long-v7": before(lambda n, d: long_text(b"L", "l/" + n * 60, magic=V7)),
    "long-prefix": lambda n, d, kw: (n, d, {**kw, "prefix": "pre"}, long_text(b"L", f"l/{n}")),
    "long-link": before(lambda n, d: long_text(b"K", "k/" + n * 60)),
    "long-both": before(lambda n, d: long_text(b"K", "k/" + n * 60) + long_text(b"L", "l/" + n * 60)),
    "long-both-other-way": before(lambda n, d: long_text(b"L", "l/" + n * 60) + long_text(b"K", "k/" + n * 60)),
    "long-twice": before(lambda n, d: long_text(b"L", f"l/{n}") + long_text(b"L", f"m/{n}")),
    "pax-long": before(lambda n, d: pax(f"path=p/{n}") + long_text(b"L", f"l/{n}")),
    "long-pax": before(lambda n, d: long_text(b"L", f"l/{n}") + pax(f"path=p/{n}")),
    # global headers, other kinds, odd magics
    "global": before(lambda n, d: pax("comment=b", typ=b"g")),
    "global-empty": before(lambda n, d: header("g", b"g")),
    "global-mtime": before(lambda n, d: pax("mtime=5", typ=b"g")),
    "pax-global": before(lambda n, d: pax(f"path=p/{n}") + pax("comment=b", typ=b"g")),
    "pax-empty": before(lambda n, d: header("x", b"x")),
    "prefix": keyword(prefix="some/prefix"),
    "prefix-gnu": keyword(prefix="some/prefix", magic=GNU),
    "prefix-v7": keyword(prefix="some/prefix", magic=V7),
    "prefix-long": keyword(prefix="q" * 155),
    "prefix-slash": keyword(prefix="some/"),
    "star": keyword(prefix="some", extra=[(476, b"00000000011\0"), (488, b"00000000011\0"), (508, b"tar\0")]),
    "star-bare": keyword(prefix="some", extra=[(508, b"tar\0")]),
    "star-long-prefix": keyword(prefix="q" * 140, extra=[(508, b"tar\0")]),
    "gnu-times": keyword(magic=GNU, extra=[(345, b"00000000011\0"), (357, b"00000000011\0")]),
    "magic": lambda n, d, kw: (n, d, {**kw, "magic": R.choice((
        GNU, V7, b"ustar\0\0\0", b"ustar\x0001", b"ustar   ", b"ustarxx\0", b"USTAR\x0000", b"ustar \0\0"))}, b""),
    "kind": lambda n, d, kw: (n, d, {**kw, "typ": R.choice((b"A", b"D", b"M", b"N", b"V", b"X", b"8", b"Z", b"E", b"I"))}, b""),
    "name-full": lambda n, d, kw: ((n + "x" * 100)[:100], d, kw, b""),
    "name-empty": lambda n, d, kw: ("", d, kw, b""),
    "name-after-nul": keyword(extra=[(60, b"hidden")]),
    "appledouble": lambda n, d, kw: (f"._{n}", d, kw, b""),
    "checksum": lambda n, d, kw: (n, d, {**kw, "sum_form": R.choice((
        b"%06o\0 ", b"%07o\0", b"%06o  ", b" %05o\0 ", b"%07o ", b"%08o", b"%06o\0x", b"%06x\0 "))}, b""),
    "link-size": keyword(typ=b"1", link="f0"),
    # maps of holes
    "old-sparse": old_sparse, "old-sparse-2": old_sparse, "sparse-0.0": sparse_00, "sparse-0.1": sparse_01,
    "sparse-1.0": sparse_10,
    # damage to pax records
    "no-newline": damaged(lambda b: b[:-1] + b"x"),
    "length-short": damaged(lambda b: b"9" + b[2:]),
    "length-long": damaged(lambda b: b"99" + b[2:]),
    "length-zero": damaged(lambda b: b"0" + b),
    "length-blank": damaged(lambda b: b" " + b),
    "length-plus": damaged(lambda b: b"+" + b),
    "no-equals": damaged(lambda b: b.replace(b"=", b":")),
    "nuls-behind": damaged(lambda b: b + bytes(20)),
    "blanks-behind": damaged(lambda b: b + b" \n"),
    "key-nul": damaged(lambda b: b.replace(b"comment", b"com\0ent")),
    "cut": damaged(lambda b: b[:-3]),
}


def member(i):
    name = f"f{i}"
    content = b"x" * R.choice((0, 1, 511, 512, 513, 1500))
    kw = {}
    if R.random() < .4:
        kw["typ"] = R.choice((b"\0", b"5", b"1", b"2", b"7", b"6", b"3"))
        if kw["typ"] in (b"1", b"2"):
            kw["link"] = "target"
        if kw["typ"] not in (b"\0", b"7"):
            content = R.choice((b"", b"", b"", content))
        if R.random() < .3:
            name += "/"
    if R.random() < .3:
        kw["magic"] = GNU
    name, content, kw, front = R.choice(list(ODD.values()))(name, content, kw) if R.random() < .6 else (name, content, kw, b"")
    more = kw.pop("map", b"")
    return front + header(name, size=len(content), **kw) + more + data(content)


def archive():
    blob = b"".join(member(i) for i in range(R.randint(1, 3)))
    if R.random() < .05:
        blob += bytes(512) + member(8)
    if R.random() < .05:
        blob += pax("path=dangling")
    blob += bytes(R.choice((1024, 1024, 1024, 10240, 512, 0)))
    if R.random() < .05:
        blob += member(9)
    return blob


def by_python(path):
    kinds = {tarfile.SYMTYPE: "l", tarfile.LNKTYPE: "h", tarfile.DIRTYPE: "d", tarfile.FIFOTYPE: "p",
             tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b"}
    lines = []
    try:
        with tarfile.open(path) as tar:
            for found in tar:
                kind = kinds.get(found.type, "-")
                link = f" {found.linkname}" if kind in "lh" else ""
                name = re.sub("/+", "/", found.name).rstrip("/")
                lines.append(f"{kind} {name} {found.size if kind == '-' else 0}{link}\n")
    except Exception:
        lines.append("error\n")
    return "".join(lines)


def main():
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    R.seed(seed)
    for i in range(count):
        with open(f"{i}.tar", "wb") as file:
            file.write(archive())
        with open(f"{i}.python", "w", errors="surrogateescape") as file:
            file.write(by_python(f"{i}.tar"))


main()
