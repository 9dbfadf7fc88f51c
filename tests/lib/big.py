#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Dockerfiles that are as large or as deep as they come, for tests.

    big.py names        list them: NAME, then "fine" or what the error says
    big.py write NAME   write it to standard output
"""
import sys

LONG = "x" * 90


def lines(fmt, n):
    return "".join(fmt % i for i in range(n))


BIG = {
    "labels": ("fine", lambda: "FROM scratch\n" + lines("LABEL l%d=" + LONG + "\n", 90000)),
    "copies": ("fine", lambda: "FROM scratch\n" + lines("COPY a%d /" + LONG + "\n", 90000)),
    "comments": ("fine", lambda: "FROM scratch\n" + "# c\n" * 2500000),
    "continuations": ("fine", lambda: "FROM scratch\nLABEL a=b" + " \\\n " * 2500000 + "\n"),
    "stages": ("fine", lambda: "FROM scratch AS s0\n" + "".join(
        "FROM scratch AS s%d\nCOPY --from=s%d / /\n" % (i, i - 1) for i in range(1, 10000))),
    "stages with arguments": ("fine", lambda: lines("ARG g%d\n", 5000) + "".join(
        "FROM scratch AS s%d\n" % i + lines("ARG g%d\n", 5) for i in range(10000))),
    "nested": ("fine", lambda: "FROM scratch\nLABEL x=" + "${a:-" * 60 + "z" + "}" * 60 + "\n"),
    "heredoc": ("fine", lambda: "FROM scratch\nCOPY <<E /a\n" + "x$A y\n" * 1500000 + "E\n"),
    "heredocs": ("fine", lambda: "FROM scratch\n" + lines("COPY <<E /a%d\nx\nE\n", 30000)),
    "excludes": ("fine", lambda: "FROM scratch\nCOPY " + lines("--exclude=a%d ", 100000) + "a /b\n"),
    "one line of labels": ("more than 10000 entries of LABEL",
                           lambda: "FROM scratch\nLABEL" + lines(" a%d=b", 900000) + "\n"),
    "variables": ("more than 10000 entries of ENV",
                  lambda: "FROM scratch\n" + lines("ENV e%d=" + LONG + "\n", 90000)),
    "volumes": ("more than 10000 entries of VOLUME", lambda: "FROM scratch\n" + lines("VOLUME /v%d\n", 90000)),
    "instructions": ("100000 instructions", lambda: "FROM scratch\n" + "USER a\n" * 200000),
    "bytes": ("limit", lambda: "#" * (17 << 20)),
    "a long word": ("grows past 1048576 bytes", lambda: "FROM scratch\nARG A=1\nLABEL x=" + "$A${A:-b}" * 900000 + "\n"),
    "nested too deep": ("nested", lambda: "FROM scratch\nLABEL x=" + "${a:-" * 1000 + "z" + "}" * 1000 + "\n"),
    "stages that inherit": ("grow past", lambda: "FROM scratch AS s0\n" + lines("ARG a%d=1\n", 10000) + "".join(
        "FROM s%d AS s%d\n" % (i - 1, i) for i in range(1, 10000))),
    "ports": ("grow past", lambda: "FROM scratch\n" + "EXPOSE 0-65535\n" * 100),
    "triggers": ("ONBUILD triggers", lambda: "FROM scratch AS s0\n" + "ONBUILD ENV a=b\n" * 1000 +
                 lines("FROM s0 AS t%d\n", 1000)),
    "a hard pattern": ("", lambda: "FROM scratch\nARG A=" + "a" * 100000 + "\nLABEL x=${A#" + "*a" * 5000 + "b}\n"),
}


def main():
    if sys.argv[1:] == ["names"]:
        print("\n".join("%s|%s" % (name, outcome) for name, (outcome, _) in BIG.items()))
    elif len(sys.argv) == 3 and sys.argv[1] == "write":
        sys.stdout.write(BIG[sys.argv[2]][1]())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
