#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A web server on the loopback for tests: files, git repositories, and manners that hurt.

Usage: remote_server.py FOLDER LOG [LOGIN]. It prints its port, and then answers until it is killed.

Each request is a line of LOG: method, path, status, and "auth" when it was authorized.
FOLDER has the files; <name>.git in it are repositories, served by git http-backend.
LOGIN: the Authorization that everything below /private/ asks for.

    /etag/FILE    with an ETag, kept to            /loop        to itself
    /last/FILE    with Last-Modified, kept to      /go/FILE     to FILE, on "localhost" by name
    /plain/FILE   without either                   /endless     bytes without end
    /cut/FILE     half of it, each time            /named/FILE  as "../evil name" by its header
"""
import email.utils, hashlib, http.server, os, pathlib, subprocess, sys, urllib.parse

FOLDER, LOG = pathlib.Path(sys.argv[1]), sys.argv[2]
LOGIN = sys.argv[3] if len(sys.argv) > 3 else None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code="-", size="-"):
        auth = " auth" if self.headers.get("Authorization") else ""
        with open(LOG, "a") as log:
            log.write(f"{self.command} {self.path} {int(code)}{auth}\n")

    def log_message(self, *args):
        pass

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path.startswith("/private/"):
            if self.headers.get("Authorization") != LOGIN:
                return self.answer(401, b"who are you", WWW_Authenticate="Basic realm=x")
            path = path[len("/private"):]
        if ".git/" in path:
            return self.git(path)
        way, _, name = path.lstrip("/").partition("/")
        if way == "loop":
            return self.answer(302, Location="/loop")
        if way == "go":
            port = self.server.server_address[1]
            return self.answer(302, Location=f"http://localhost:{port}/etag/{name}")
        if way == "endless":
            return self.endless()
        file = FOLDER / urllib.parse.unquote(name)
        if not file.is_file():
            return self.answer(404)
        self.file(way, file, file.read_bytes())

    do_POST = do_GET

    def file(self, way, file, body):
        etag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
        last = email.utils.formatdate(file.stat().st_mtime, usegmt=True)
        if way == "etag" and self.headers.get("If-None-Match") == etag:
            return self.answer(304, ETag=etag)
        if way == "last" and self.headers.get("If-Modified-Since") == last:
            return self.answer(304)
        if way == "cut":
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:len(body) // 2])
            self.close_connection = True
            return None
        extra = {"etag": {"ETag": etag, "Last_Modified": last}, "last": {"Last_Modified": last},
                 "named": {"Content_Disposition": 'attachment; filename="../evil name"'}}
        return self.answer(200, body, **extra.get(way, {}))

    def endless(self):
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * 65536)
        except OSError:
            self.close_connection = True

    def git(self, path):
        length = int(self.headers.get("Content-Length") or 0)
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(FOLDER), "GIT_HTTP_EXPORT_ALL": "1",
               "PATH_INFO": path, "REQUEST_METHOD": self.command, "HOME": "/nonexistent",
               "QUERY_STRING": urllib.parse.urlsplit(self.path).query,
               "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(length),
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
               "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
               "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        result = subprocess.run(["git", "http-backend"], input=self.rfile.read(length), env=env,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        head, _, body = result.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        code = int(headers.pop("Status", "200").split()[0])
        self.answer(code, body, **headers)


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()
