"""An S3 server in a process of its own that can be killed at any moment: what it was told it does again at its start.

moto keeps all in memory. So each request that changes something is written down before it is done, as databases do.
"""

import base64
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from threading import Lock, Thread
from typing import Any, NoReturn
from urllib.request import Request, urlopen
from xml.etree import ElementTree

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.test import run_wsgi_app

CHANGING = ("PUT", "POST", "DELETE")
CHUNKED = ("HTTP_TRANSFER_ENCODING",)  # of a body that is whole by then
SOMEBODY = {"Authorization": "AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/s3/aws4_request"}  # asks moto
LONGEST = 30.0  # seconds until it answers
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Server:
    """It has a port of its own, which stays its own over restarts, and one bucket.

    Args:
        log: the file of what it was told.
    """

    def __init__(self, log: Path) -> None:
        self.log, self._port = log, _free_port()
        self.start()
        self._asked("PUT", "/bucket")

    @property
    def address(self) -> str:
        """As in "http://127.0.0.1:5000"."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """It listens."""
        if (pid := os.fork()) == 0:
            _serve(self.log, self._port, os.getppid())
        self._pid, until = pid, time.monotonic() + LONGEST
        while not _listens(self._port):
            assert time.monotonic() < until, "the store's server does not start"
            time.sleep(0.02)

    def kill(self) -> None:
        """It is no more, whatever it was at."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def content(self, target: Path) -> Path:
        """All files of the bucket, below a folder that is returned."""
        listing = ElementTree.fromstring(self._asked("GET", "/bucket?list-type=2&max-keys=1000"))
        assert listing.findtext("{*}IsTruncated") == "false"
        for name in [each.text or "" for each in listing.iterfind("{*}Contents/{*}Key")]:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(self._asked("GET", f"/bucket/{name}"))
        return target

    def _asked(self, method: str, what: str) -> bytes:
        with urlopen(Request(self.address + what, method=method, headers=SOMEBODY)) as answer:
            return bytes(answer.read())


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _serve(log: Path, port: int, parent: int) -> NoReturn:
    Thread(target=_end_with, args=(parent,), daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    logged = Logged(DomainDispatcherApplication(create_backend_app), log)
    make_server("127.0.0.1", port, logged, threaded=True, request_handler=MotoRequestHandler).serve_forever()
    os._exit(1)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


class Logged:
    """A server's application that does again what its log says, and then writes there what it is told."""

    def __init__(self, application: Application, log: Path) -> None:
        self._application, self._lock = application, Lock()
        for line in log.read_bytes().splitlines(keepends=True) if log.exists() else ():
            if line.endswith(b"\n"):  # the last one may be half a line: a request that came to nothing
                run_wsgi_app(application, _environ(json.loads(line)))
        self._file = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request; those that change something one after the other, as they are written down."""
        if environ["REQUEST_METHOD"] not in CHANGING:
            return self._application(environ, start_response)
        chunked, length = environ.get("wsgi.input_terminated"), int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read() if chunked else environ["wsgi.input"].read(length)
        said = {name: value for name, value in environ.items() if isinstance(value, str) and name not in CHUNKED}
        line = json.dumps({**said, "CONTENT_LENGTH": str(len(body)), "body": base64.b64encode(body).decode()})
        with self._lock:
            os.write(self._file, line.encode() + b"\n")
            return list(self._application(_environ(json.loads(line)), start_response))


def _environ(said: dict[str, str]) -> dict[str, Any]:
    """A request as it came, from its line in the log."""
    body = base64.b64decode(said.pop("body"))
    how = {"wsgi.version": (1, 0), "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False}
    return {**said, **how, "wsgi.input": BytesIO(body), "wsgi.errors": sys.stderr}
