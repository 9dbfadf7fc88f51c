#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An S3 server for tests, on the loopback: each signature is computed again by botocore's own code.

    s3_server.py LOG [CERT KEY]   prints its port, serves until standard input ends; one line a
                                  request goes to LOG: METHOD PATH?QUERY STATUS

Buckets: any, by path or as BUCKET.localhost. Some misbehave:
    elsewhere    is in the region eu-far-1            nocond     knows no conditions (501)
    denied       nobody may do anything               flaky      every other request is a 503
    old          objects are two days old             lostend    the end of parts is done, not told
    badend       the end of parts fails, by a 200     noparts    the second part is a 400
    liar         other bytes of the same length       hang       no answer
    shout        errors with escape codes, 50 KB long
Keys: AKIDTEST with SECRETCANARY; AKIDSESSION with SESSIONCANARY and the token TOKENCANARY, which
/container (Authorization: CONTAINERTOKEN) and /latest (IMDSv2) give away.
Without a signature: GET /_state.
"""
import datetime
import email.utils
import hashlib
import http.server
import json
import socket
import socketserver
import ssl
import sys
import threading
import time
import urllib.parse

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEYS = {"AKIDTEST": ("SECRETCANARY", None), "AKIDSESSION": ("SESSIONCANARY", "TOKENCANARY")}
REGION = "us-test-1"
lock = threading.Lock()
objects, uploads, counts = {}, {}, {}


class Refused(Exception):
    def __init__(self, status, code, message="refused", **headers):
        self.status, self.code, self.message, self.headers = status, code, message, headers


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, body=b"", **headers):
        with lock, open(sys.argv[1], "a") as log:
            log.write(f"{self.command} {self.path} {status}\n")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fail(self, refused):
        body = (f"<?xml version=\"1.0\"?><Error><Code>{refused.code}</Code>"
                f"<Message>{refused.message}</Message></Error>").encode()
        self.close_connection = True
        self.reply(refused.status, body, Content_Type="application/xml", **refused.headers)

    # --- signatures ---

    def check_signature(self, body):
        kind, _, rest = self.headers.get("Authorization", "").partition(" ")
        if kind != "AWS4-HMAC-SHA256":
            raise Refused(403, "AccessDenied", "no signature")
        fields = dict(part.strip().split("=", 1) for part in rest.split(","))
        key, day, region, service, last = fields["Credential"].split("/")
        if key not in KEYS:
            raise Refused(403, "InvalidAccessKeyId", "unknown key")
        if (region, service, last) != (REGION, "s3", "aws4_request"):
            raise Refused(400, "AuthorizationHeaderMalformed", f"the region is {REGION}",
                          x_amz_bucket_region=REGION)
        secret, token = KEYS[key]
        if self.headers.get("x-amz-security-token") != token:
            raise Refused(400, "ExpiredToken", "the token is another one")
        names = fields["SignedHeaders"].split(";")
        for name in self.headers:
            if name.lower().startswith("x-amz-") and name.lower() not in names:
                raise Refused(403, "AccessDenied", f"{name} is not signed")
        said = self.headers["x-amz-content-sha256"]
        if said != hashlib.sha256(body).hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch", "other bytes")
        when = self.headers["x-amz-date"]
        parsed = datetime.datetime.strptime(when, "%Y%m%dT%H%M%SZ")
        if abs((datetime.datetime.utcnow() - parsed).total_seconds()) > 900:
            raise Refused(403, "RequestTimeTooSkewed", "too late")
        request = AWSRequest(method=self.command, data=body,
                             url=f"http://{self.headers['Host']}{self.path}",
                             headers={name: self.headers[name] for name in names if name != "host"})
        request.context["timestamp"] = when
        auth = S3SigV4Auth(Credentials(key, secret, token), "s3", region)
        canonical = auth.canonical_request(request)
        want = auth.signature(auth.string_to_sign(request, canonical), request)
        if want != fields["Signature"]:
            raise Refused(403, "SignatureDoesNotMatch", "not what botocore signs")

    # --- objects ---

    def place(self):
        path, _, query = self.path.partition("?")
        host = self.headers["Host"].split(":")[0]
        path = urllib.parse.unquote(path)[1:]
        if host.endswith(".localhost"):
            bucket, key = host[:-len(".localhost")], path
        else:
            bucket, _, key = path.partition("/")
        return bucket, key, urllib.parse.parse_qs(query, keep_blank_values=True)

    def check_bucket(self, bucket):
        if bucket == "missing":
            raise Refused(404, "NoSuchBucket", "no such bucket")
        if bucket == "denied":
            raise Refused(403, "AccessDenied", "not for you")
        if bucket == "shout":
            raise Refused(403, "Loud", "&lt;\x1b[31m&quot;" + "A" * 50000)
        if bucket == "elsewhere":
            raise Refused(301, "PermanentRedirect", "elsewhere", x_amz_bucket_region="eu-far-1",
                          Location="http://127.0.0.1:1/")
        with lock:
            counts[bucket] = counts.get(bucket, 0) + 1
            odd = counts[bucket] % 2
        if bucket == "flaky" and odd:
            raise Refused(503, "SlowDown", "slow down")
        if bucket == "hang":
            time.sleep(30)

    def check_condition(self, bucket, old):
        match, none = self.headers.get("If-Match"), self.headers.get("If-None-Match")
        if bucket == "nocond" and (match or none):
            raise Refused(501, "NotImplemented", "no conditions")
        if none == "*" and old:
            raise Refused(412, "PreconditionFailed", "it is there")
        if match and not old:
            raise Refused(404, "NoSuchKey", "it is gone")
        if match and match != old["etag"]:
            raise Refused(412, "PreconditionFailed", "another one")

    def store(self, bucket, key, data):
        modified = time.time() - (2 * 86400 if bucket == "old" else 0)
        etag = '"' + hashlib.md5(data).hexdigest() + '"'
        objects[bucket, key] = {"data": data, "etag": etag, "modified": modified}
        return etag

    def get(self, bucket, key):
        with lock:
            found = objects.get((bucket, key))
        if not found:
            raise Refused(404, "NoSuchKey", "no such key")
        data = found["data"]
        headers = {"ETag": found["etag"],
                   "Last_Modified": email.utils.formatdate(found["modified"], usegmt=True)}
        if bucket == "liar" and self.command == "GET":
            data = bytes(len(data))
        start = self.headers.get("Range")
        if start:
            start = int(start[len("bytes="):].rstrip("-"))
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            data = data[start:]
        self.reply(206 if start else 200, data, **headers)

    def put(self, bucket, key, body):
        source = self.headers.get("x-amz-copy-source")
        with lock:
            if source:
                found = objects[tuple(urllib.parse.unquote(source)[1:].split("/", 1))]
                found["modified"] = time.time()
                etag = found["etag"]
            else:
                self.check_condition(bucket, objects.get((bucket, key)))
                etag = self.store(bucket, key, body)
        body = f"<CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>".encode() if source else b""
        self.reply(200, body, ETag=etag)

    # --- parts ---

    def begin(self, bucket, key):
        with lock:
            name = f"up+/{len(counts)}={len(uploads)}"
            uploads[name] = {"key": (bucket, key), "parts": {}}
        self.reply(200, f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId>"
                   "</InitiateMultipartUploadResult>".encode())

    def upload(self, query):
        name = query["uploadId"][0]
        if name not in uploads:
            raise Refused(404, "NoSuchUpload", "no such upload")
        return name

    def put_part(self, bucket, query, body):
        number = int(query["partNumber"][0])
        if bucket == "noparts" and number == 2:
            raise Refused(400, "InvalidPart", "no second part")
        with lock:
            uploads[self.upload(query)]["parts"][number] = body
        self.reply(200, ETag='"' + hashlib.md5(body).hexdigest() + '"')

    def end(self, bucket, query, body):
        with lock:
            name = self.upload(query)
            parts = uploads[name]["parts"]
            for number, data in parts.items():
                etag = "&quot;" + hashlib.md5(data).hexdigest() + "&quot;"
                if f"<PartNumber>{number}</PartNumber><ETag>{etag}</ETag>" not in body.decode():
                    raise Refused(400, "InvalidPart", "another ETag")
            if any(len(data) < 5 << 20 for n, data in parts.items() if n != max(parts)):
                raise Refused(400, "EntityTooSmall", "a part is too small")
            if bucket != "badend":
                self.store(*uploads[name]["key"], b"".join(parts[n] for n in sorted(parts)))
                del uploads[name]
        if bucket == "badend":
            self.reply(200, b"<Error><Code>InternalError</Code></Error>")
        elif bucket == "lostend":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.reply(200, b"<CompleteMultipartUploadResult/>")

    # --- credentials ---

    def give_keys(self):
        until = (datetime.datetime.utcnow() + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.reply(200, json.dumps({"AccessKeyId": "AKIDSESSION", "SecretAccessKey": "SESSIONCANARY",
                                    "Token": "TOKENCANARY", "Expiration": until}).encode())

    def serve_special(self):
        if self.path == "/_state":
            self.reply(200, json.dumps({"objects": len(objects), "uploads": len(uploads)}).encode())
        elif self.path == "/container" and self.headers.get("Authorization") == "CONTAINERTOKEN":
            self.give_keys()
        elif self.path == "/badjson":
            self.reply(200, b'{"SecretAccessKey": "JSONCANARY" oops')
        elif self.path == "/latest/api/token" and self.command == "PUT":
            self.reply(200, b"IMDSTOKEN")
        elif self.headers.get("X-aws-ec2-metadata-token") != "IMDSTOKEN":
            self.reply(401)
        elif self.path == "/latest/meta-data/iam/security-credentials/":
            self.reply(200, b"the-role\n")
        elif self.path == "/latest/meta-data/iam/security-credentials/the-role":
            self.give_keys()
        else:
            self.reply(404)

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith(("/_state", "/container", "/latest/", "/badjson")):
            return self.serve_special()
        bucket, key, query = self.place()
        try:
            self.check_signature(body)
            self.check_bucket(bucket)
            if self.command == "POST" and "uploads" in query:
                self.begin(bucket, key)
            elif self.command == "POST":
                self.end(bucket, query, body)
            elif self.command == "DELETE":
                with lock:
                    del uploads[self.upload(query)]
                self.reply(204)
            elif self.command == "PUT" and "partNumber" in query:
                self.put_part(bucket, query, body)
            elif self.command == "PUT":
                self.put(bucket, key, body)
            else:
                self.get(bucket, key)
        except Refused as refused:
            self.fail(refused)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *args):
        pass


server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[2:4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdout.write(f"{server.server_port}\n")
sys.stdout.flush()
sys.stdin.read()
