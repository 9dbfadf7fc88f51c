#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""churn.py FOLDER CANARY SECONDS: change what lies in a folder, as fast as can be.

A file is whole when it has one letter only, as often as SIZES says. Names come and go, shrink, grow,
and turn into folders, FIFOs, sockets, and links to CANARY, which lies outside.
"""
import os
import random
import shutil
import socket
import sys
import time

SIZES = {"a": 10, "b": 5000, "c": 300000, "d": 0}
NAMES = ["f1", "f2", "dir/f3", "dir/deep/f4"]


def remove(path):
    try:
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    except FileNotFoundError:
        pass


def write(path, letter, how):
    with open(path, how) as file:
        file.write(letter * SIZES[letter])


def put_whole(path, _):
    letter = random.choice("abcd")
    write(path + ".new~", letter, "w")
    remove(path)
    os.rename(path + ".new~", path)


def rewrite(path, _):
    write(path, random.choice("abcd"), "r+")
    with open(path, "r+") as file:
        letter = file.read(1) or "d"
        file.truncate(SIZES[letter])


def cut(path, _):
    os.truncate(path, 0)


def link(path, canary):
    os.symlink(canary, path)


def pipe(path, _):
    os.mkfifo(path)


def listen(path, _):
    folder = os.getcwd()
    os.chdir(os.path.dirname(path))
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.basename(path))
    server.close()
    os.chdir(folder)


def folder(path, _):
    os.mkdir(path)
    write(os.path.join(path, "inner"), "a", "w")


def step(root, canary):
    path = os.path.join(root, random.choice(NAMES))
    change = random.choice([put_whole] * 4 + [rewrite, cut, link, pipe, listen, folder, None])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if change not in (put_whole, rewrite, cut):
        remove(path)
    if change:
        change(path, canary)


def main():
    root, canary, seconds = os.path.abspath(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if random.random() < 0.02:
                remove(os.path.join(root, "dir"))
            step(root, canary)
        except OSError:
            pass
        time.sleep(random.random() * 0.004)


main()
