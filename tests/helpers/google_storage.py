"""Google Cloud Storage on this machine: what its JSON API documents of buckets, objects, uploads and preconditions.

Written after https://docs.cloud.google.com/storage/docs/json_api/v1/objects, request-preconditions,
performing-resumable-uploads and https://developers.google.com/identity/protocols/oauth2/service-account. Objects have
one version, as in buckets without object versioning. Whoever asks shows a token that was got for a signed statement.
"""

import json
import re
import secrets
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import md5
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from google.auth import jwt

LONGEST_PAGE = 7  # objects of one listing; "the service may return fewer results" than were asked for
CHUNK = 256 * 1024  # bytes of which all chunks of an upload but the last are multiples
HEADERS = rb"Content-Type: (?P<%s>[^\r\n]+)\r?\n\r?\n"
PARTS = rb"".join(
    (
        rb"--BOUNDARY\r?\n" + HEADERS % b"json" + rb"(?P<about>.*?)\r?\n",
        rb"--BOUNDARY\r?\n" + HEADERS % b"kind" + rb"(?P<content>.*)\r?\n--BOUNDARY--\s*",
    )
)
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, reason: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Answer:
    """What is sent back: JSON, or bytes as they are."""

    content: dict[str, Any] | bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    host: str


@dataclass(frozen=True)
class Object:
    """A live object."""

    content: bytes
    content_type: str
    generation: int
    updated: str

    def resource(self, bucket: str, name: str, host: str) -> dict[str, Any]:
        """As listings and metadata give it; whole numbers of 64 bits are text in Google's JSON."""
        generation = str(self.generation)
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "name": name,
            "bucket": bucket,
            "generation": generation,
            "metageneration": "1",
            "contentType": self.content_type,
            "size": str(len(self.content)),
            "md5Hash": b64encode(md5(self.content, usedforsecurity=False).digest()).decode(),
            "etag": b64encode(f"{generation}/1".encode()).decode(),
            "timeCreated": self.updated,
            "updated": self.updated,
            "storageClass": "STANDARD",
            "mediaLink": f"{host}/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media",
        }


@dataclass
class Upload:
    """A resumable upload under way."""

    bucket: str
    name: str
    content_type: str
    query: dict[str, str]
    received: bytearray = field(default_factory=bytearray)


class Buckets:
    """All that is stored, and what is done with it, one request at a time."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Object]] = {}
        self._uploads: dict[str, Upload] = {}
        self._generation = 0
        self.tokens: set[str] = set()
        self.public_keys: dict[str, str] = {}  # of service accounts, by their ids

    def answer(self, asked: Asked) -> Answer:
        """Raises Refused."""
        if asked.path == "/token":
            return self._token(asked)
        if asked.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise Refused(401, "Invalid Credentials", "authError")
        for pattern, does in ROUTES:
            if found := re.fullmatch(pattern, f"{asked.method} {asked.path}"):
                return does(self, asked, *map(unquote, found.groups()))
        raise Refused(404, "Not Found", "notFound")

    def _token(self, asked: Asked) -> Answer:
        """For a statement that the owner of a service account's key has signed."""
        said = dict(parse_qsl(asked.body.decode()))
        assert said["grant_type"] == GRANT
        jwt.decode(said["assertion"], certs=self.public_keys, audience="https://oauth2.googleapis.com/token")  # type: ignore[no-untyped-call]
        self.tokens.add(token := secrets.token_urlsafe(32))
        return Answer({"access_token": token, "expires_in": 3600, "token_type": "Bearer"})

    def make_bucket(self, asked: Asked) -> Answer:
        """buckets.insert"""
        name = json.loads(asked.body)["name"]
        if name in self.held:
            raise Refused(409, "Your previous request to create the named bucket succeeded.", "conflict")
        self.held[name] = {}
        return Answer({"kind": "storage#bucket", "name": name})

    def list_objects(self, asked: Asked, bucket: str) -> Answer:
        """objects.list, of which a page has no more than a few; names that go on after a delimiter are one prefix."""
        prefix, last = asked.query.get("prefix", ""), asked.query.get("pageToken", "")
        delimiter = asked.query.get("delimiter")
        begun = re.compile(f"{re.escape(prefix)}.*?{re.escape(delimiter)}" if delimiter else "$.")
        shown = {name: begun.match(name) for name in sorted(self._bucket(bucket)) if name.startswith(prefix)}
        entries = sorted({found[0] if found else name for name, found in shown.items()})
        entries = [each for each in entries if each > last]
        page = entries[: min(int(asked.query.get("maxResults", 1000)), LONGEST_PAGE)]
        prefixes = [each for each in page if delimiter and each.endswith(delimiter)]
        items = [self._object(bucket, each).resource(bucket, each, asked.host) for each in page if each not in prefixes]
        more = {"nextPageToken": page[-1]} if len(page) < len(entries) else {}
        found = {name: each for name, each in {"items": items, "prefixes": prefixes}.items() if each}
        return Answer({"kind": "storage#objects", **found, **more})

    def get_object(self, asked: Asked, bucket: str, name: str) -> Answer:
        """objects.get, of the metadata or with alt=media the content, or a range of it."""
        self._meet(asked.query, bucket, name)
        found = self._object(bucket, name)
        if asked.query.get("alt") != "media":
            return Answer(found.resource(bucket, name, asked.host))
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", "")):
            first, last = int(wanted[1]), int(wanted[2] or len(found.content) - 1)
            where = f"bytes {first}-{last}/{len(found.content)}"
            return Answer(found.content[first : last + 1], 206, {"Content-Range": where})
        return Answer(found.content, headers={"X-Goog-Generation": str(found.generation)})

    def delete_object(self, asked: Asked, bucket: str, name: str) -> Answer:
        """objects.delete"""
        self._meet(asked.query, bucket, name)
        self._object(bucket, name)
        del self.held[bucket][name]
        return Answer(status=204)

    def insert(self, asked: Asked, bucket: str) -> Answer:
        """objects.insert, as a multipart upload or the start of a resumable one."""
        if asked.query["uploadType"] == "resumable":
            return self._begin(asked, bucket)
        boundary = re.escape(asked.headers["content-type"].partition("boundary=")[2].strip('"').encode())
        parts = re.fullmatch(PARTS.replace(b"BOUNDARY", boundary), asked.body, re.DOTALL)
        assert parts, "two parts, of which the first is the metadata"
        kind, name = parts["kind"].decode(), json.loads(parts["about"])["name"]
        return self._stored(Upload(bucket, name, kind, asked.query, bytearray(parts["content"])), asked.host)

    def _begin(self, asked: Asked, bucket: str) -> Answer:
        name = asked.query.get("name") or json.loads(asked.body)["name"]
        self._meet(asked.query, bucket, name)
        kind = asked.headers.get("x-upload-content-type", "application/octet-stream")
        self._uploads[session := secrets.token_hex(16)] = Upload(bucket, name, kind, asked.query)
        where = f"{asked.host}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={session}"
        return Answer(headers={"Location": where})

    def go_on(self, asked: Asked, bucket: str) -> Answer:
        """A chunk of a resumable upload: 308 where more is to come, and the object after the last one."""
        upload = self._uploads[asked.query["upload_id"]]
        place = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", asked.headers["content-range"])
        assert place and int(place[1]) == len(upload.received) and len(asked.body) == int(place[2]) + 1 - int(place[1])
        upload.received += asked.body
        if len(upload.received) == int(place[3]):
            return self._stored(self._uploads.pop(asked.query["upload_id"]), asked.host)
        assert len(asked.body) % CHUNK == 0
        return Answer(status=308, headers={"Range": f"bytes=0-{len(upload.received) - 1}"})

    def _stored(self, upload: Upload, host: str) -> Answer:
        self._meet(upload.query, upload.bucket, upload.name)
        self._generation = max(self._generation + 1, time.time_ns() // 1000)
        made = Object(bytes(upload.received), upload.content_type, self._generation, _now())
        self._bucket(upload.bucket)[upload.name] = made
        return Answer(made.resource(upload.bucket, upload.name, host))

    def _meet(self, query: dict[str, str], bucket: str, name: str) -> None:
        """Preconditions; the generation of what is not there is 0."""
        found = self._bucket(bucket).get(name)
        seen = {"Generation": found.generation if found else 0, "Metageneration": 1 if found else 0}
        for what, number in seen.items():
            if query.get(f"if{what}Match") not in (None, str(number)):
                message = "At least one of the pre-conditions you specified did not hold."
                raise Refused(412, message, "conditionNotMet")
            if query.get(f"if{what}NotMatch") == str(number):
                raise Refused(304, "Not Modified", "notModified")

    def _bucket(self, name: str) -> dict[str, Object]:
        if name not in self.held:
            raise Refused(404, "The specified bucket does not exist.", "notFound")
        return self.held[name]

    def _object(self, bucket: str, name: str) -> Object:
        if name not in self._bucket(bucket):
            raise Refused(404, f"No such object: {bucket}/{name}", "notFound")
        return self.held[bucket][name]


BUCKET, OBJECT = "/storage/v1/b/([^/]+)", "/o/([^/]+)"
ROUTES: list[tuple[str, Callable[..., Answer]]] = [
    ("POST /storage/v1/b", Buckets.make_bucket),
    (f"GET {BUCKET}/o", Buckets.list_objects),
    (f"GET (?:/download)?{BUCKET}{OBJECT}", Buckets.get_object),
    (f"DELETE {BUCKET}{OBJECT}", Buckets.delete_object),
    (f"POST /upload{BUCKET}/o", lambda buckets, asked, bucket: _uploaded(buckets, asked, bucket)),
]


def _now() -> str:
    """As in "2026-01-31T12:00:00.123Z"."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _uploaded(buckets: Buckets, asked: Asked, bucket: str) -> Answer:
    return (buckets.go_on if "upload_id" in asked.query else buckets.insert)(asked, bucket)


class GoogleStorage(ThreadingHTTPServer):
    """A server of buckets.

    Args:
        port: 0 for one that is free.
        buckets: what it has; a server that comes back is given what it had.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, buckets: Buckets) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.buckets, self.doing, self._connections = buckets, threading.Lock(), set[socket.socket]()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """It answers nobody any more, those who hold a connection to it included."""
        self.shutdown()
        self.server_close()
        for each in tuple(self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as socketserver has it
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as socketserver has it
        self._connections.discard(request)
        super().shutdown_request(request)

    @property
    def address(self) -> str:
        """As in "http://127.0.0.1:5000"."""
        return f"http://127.0.0.1:{self.server_port}"

    def key_file(self, path: Path) -> Path:
        """A service account's key, as Google's console gives it, written at a path that is returned."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.buckets.public_keys = {"1": public.decode()}
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        said = {"type": "service_account", "project_id": "nobody", "private_key_id": "1", "private_key": private}
        rest = {"client_email": "nobody@nobody.iam.gserviceaccount.com", "token_uri": f"{self.address}/token"}
        path.write_text(json.dumps({**said, **rest}))
        return path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one packet
    server: GoogleStorage

    def do_GET(self) -> None:
        """Any request."""
        asked = self._asked()
        try:
            with self.server.doing:
                self._send(self.server.buckets.answer(asked))
        except Refused as error:
            said = {"message": str(error), "domain": "global", "reason": error.reason}
            self._send(Answer({"error": {"code": error.status, "message": str(error), "errors": [said]}}, error.status))

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - as http.server has it

    def _asked(self) -> Asked:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body, self.server.address)

    def _send(self, answer: Answer) -> None:
        content = answer.content if isinstance(answer.content, bytes) else json.dumps(answer.content).encode()
        self.send_response(answer.status, HTTPStatus(answer.status).phrase)
        for name, value in {**answer.headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.status not in (204, 304):
            self.wfile.write(content)

    def log_message(self, *said: object) -> None:
        """Nothing."""
