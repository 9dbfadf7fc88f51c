# SPDX-License-Identifier: Apache-2.0
"""Make the bytes of every op again from the JSON of `cob build --call=convertllb`, by ops.proto
alone, and hold their digests against those that the JSON names: so nothing got lost in it.

llb_digests.py OPS_PROTO < JSON        prints how many ops agree
"""
import base64
import hashlib
import json
import re
import sys

VARINTS = {"int32", "int64", "uint32", "uint64", "bool"}


def read_schema(path):
    """Messages: name -> [(number, JSON name, type, is it repeated, is it in a oneof)]; enums."""
    messages, enums, stack = {}, {}, []
    for line in open(path, encoding="utf-8"):
        line = line.split("//")[0].strip()
        opened = re.match(r"(message|enum|oneof) (\w+) \{", line)
        field = re.match(r"(repeated )?(\w+) (\w+) = (\d+);", line)
        value = re.match(r"(\w+) = (\d+);", line)
        if opened:
            stack.append(opened.groups())
            if opened[1] != "oneof":
                (messages if opened[1] == "message" else enums)[opened[2]] = \
                    [] if opened[1] == "message" else {}
        elif line == "}":
            stack.pop()
        elif field and stack:
            name = re.sub(r"_(\w)", lambda m: m[1].upper(), field[3])
            owner = [n for kind, n in stack if kind == "message"][-1]
            messages[owner].append((int(field[4]), name, field[2], bool(field[1]),
                                    stack[-1][0] == "oneof"))
        elif value and stack and stack[-1][0] == "enum":
            enums[stack[-1][1]][value[1]] = int(value[2])
    return messages, enums


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def delimited(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


class Encoder:
    def __init__(self, path):
        self.messages, self.enums = read_schema(path)

    def value(self, number, kind, value):
        if kind == "TextEntry":
            return b"".join(delimited(number, delimited(1, k.encode()) + delimited(2, v.encode()))
                            for k, v in sorted(value.items()))
        if kind in self.messages:
            return delimited(number, self.message(kind, value))
        if kind in self.enums:
            return varint(number << 3) + varint(self.enums[kind][value])
        if kind in VARINTS:
            return varint(number << 3) + varint(int(value))
        return delimited(number, value.encode() if kind == "string" else base64.b64decode(value))

    def message(self, name, value):
        value, out = dict(value), b""
        for number, key, kind, is_list, is_oneof in sorted(self.messages[name]):
            if key not in value:
                continue
            one = value.pop(key)
            assert one not in (0, "0", "", False, []) or is_oneof, (name, key, "a default")
            if is_list and kind in VARINTS:
                out += delimited(number, b"".join(varint(int(v)) for v in one))
            elif is_list and kind != "TextEntry":
                out += b"".join(self.value(number, kind, v) for v in one)
            else:
                out += self.value(number, kind, one)
        assert not value, (name, value, "not in ops.proto")
        return out


def main():
    encoder, got = Encoder(sys.argv[1]), json.load(sys.stdin)
    for digest, op in got["def"].items():
        data = encoder.message("Op", op)
        assert digest == "sha256:" + hashlib.sha256(data).hexdigest(), (digest, op)
    assert set(got["metadata"]) == set(got["def"])
    assert list(got["def"]) == sorted(got["def"])
    print(len(got["def"]), "ops agree")


main()
