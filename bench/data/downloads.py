"""Downloads from official addresses: resumed where they were cut, and taken for a file only with the right checksum."""

import http.client
import shutil
import time
import urllib.error
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from bench.data.addresses import Refused, ask
from bench.data.archives import extract
from bench.data.cards import Fetch
from bench.errors import RunFailure, why
from bench.progress import Progress, Throttled
from bench.storage.files import file_digest, quarantine
from bench.storage.shared.leases import LockHeld, locked

ATTEMPTS = 5  # in a row without a byte
TIMEOUT = 30.0  # seconds without an answer
MOST_UNSTATED = 16 << 30  # bytes of a file whose card does not say how large it is
_BLOCK = 1 << 18
_DIGITS = 19  # of a length that no disk has


@dataclass(frozen=True)
class _RequestPolicy:
    """How servers are asked: whether those of private networks are, and what waits so many seconds between attempts."""

    private: bool
    pause: Callable[[float], None]


class _Retry(Exception):
    """The connection ended early or was refused; what came is kept and the rest is asked for again."""


def fetch(
    wanted: Fetch,
    root: Path,
    progress: Progress,
    pause: Callable[[float], None] = time.sleep,
    *,
    private: bool = False,
) -> Path:
    """Downloads a file below `root`, verifies it and, where the card says so, extracts it beside.

    What has arrived waits as `<file>.part`, from which the next call goes on (by HTTP Range; from the start where the
    server has none).

    Args:
        wanted: address, name, size and checksum.
        root: the data root.
        pause: waits so many seconds between attempts.
        private: whether hosts that are not of the public internet may be asked (see `bench.data.addresses`).

    Returns:
        The extracted folder, or else the file.

    Raises:
        RunFailure: refused by the server, an address that is not asked, cut too often, more bytes than there should be,
            another checksum, no room on the disk, an unsafe archive, or another process is fetching it.
    """
    path = root / wanted.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f".{path.name}.lock"), progress, wait=False):
            return _fetch(wanted, path, progress, _RequestPolicy(private, pause))
    except LockHeld as error:
        raise RunFailure(f"{path} is being fetched already: {error}") from error
    except OSError as error:
        raise RunFailure(f"{path} cannot be written: {why(error)}") from error


def _fetch(wanted: Fetch, path: Path, progress: Progress, policy: _RequestPolicy) -> Path:
    folder = path.with_name(wanted.extract) if wanted.extract else None
    if folder is not None and folder.is_dir():
        return folder
    if path.exists() and not _is_right(path, wanted):
        progress.warn(f"{path} has the wrong checksum; set aside as {quarantine(path).name}")
    if not path.exists():
        _download(wanted, path, progress, policy)
    if folder is None:
        return path
    extract(path, folder)
    return folder


def _is_right(path: Path, wanted: Fetch) -> bool:
    algorithm, _, expected = wanted.checksum.partition(":")
    return file_digest(path, algorithm) == expected


def _download(wanted: Fetch, path: Path, progress: Progress, policy: _RequestPolicy) -> None:
    part = path.with_name(f"{path.name}.part")
    _require_room(wanted, part)
    _receive_all(wanted, part, Throttled(progress), policy)
    if not _is_right(part, wanted):
        part.unlink()
        raise RunFailure(f"{wanted.url} gave a file without the checksum {wanted.checksum}; it was removed")
    part.replace(path)


def _require_room(wanted: Fetch, part: Path, stated: int = 0) -> None:
    """Room for what the card says, or else the server."""
    missing = (wanted.bytes or stated) - _size(part)
    free = shutil.disk_usage(part.parent).free
    if missing > free:
        raise RunFailure(f"{part.parent} has {free:,} bytes free; {wanted.file} needs {missing:,} more")


def _receive_all(wanted: Fetch, part: Path, progress: Progress, policy: _RequestPolicy) -> None:
    """Asks again, from where it was cut, until all is there."""
    failures = 0
    while True:
        before = _size(part)
        try:
            return _receive(wanted, part, progress, policy.private)
        except _Retry as retry:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= ATTEMPTS:
                raise RunFailure(f"{wanted.url} cannot be fetched: {retry}; {_size(part):,} bytes are kept") from retry
            policy.pause(2.0**failures)


def _receive(wanted: Fetch, part: Path, progress: Progress, private: bool) -> None:
    """One request, to the end of the file.

    Raises:
        _Retry: it did not come to the end.
    """
    have = _size(part)
    try:
        with closing(_ask(wanted.url, have, private)) as answer:
            start = have if answer.status == HTTPStatus.PARTIAL_CONTENT else 0
            total = start + _stated_length(answer) or None
            _require_room(wanted, part, total or 0)
            _append(answer, part, start, wanted, total, progress)
    except Refused as refused:
        raise RunFailure(f"{wanted.url} cannot be fetched: {refused}") from refused
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _nothing_left(part, error)
        if error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise RunFailure(f"{wanted.url} cannot be fetched: {error.code} {error.reason}") from error
        raise _Retry(f"{error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _Retry(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _stated_length(answer: http.client.HTTPResponse) -> int:
    """The Content-Length, or 0 where there is none or it is no number; what comes is then all there is."""
    text = answer.headers.get("Content-Length", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else 0


def _ask(url: str, start: int, private: bool) -> http.client.HTTPResponse:
    headers = {"User-Agent": "condensation-bench", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    return ask(url, headers, TIMEOUT, private=private)


def _append(
    answer: http.client.HTTPResponse, part: Path, start: int, wanted: Fetch, total: int | None, progress: Progress
) -> None:
    """Writes the answer's body at `start`, where a server without ranges begins at 0 again."""
    have, due = start, wanted.bytes or total
    most = wanted.bytes or min(total or MOST_UNSTATED, MOST_UNSTATED)
    with part.open("ab") as file:
        file.truncate(start)
        while data := _read(answer):
            file.write(data)
            have += len(data)
            if have > most:
                break
            progress.advance(f"fetch {wanted.file}", have, due or have)
    if have > most:
        part.unlink()
        raise RunFailure(f"{wanted.url} gave more than the {most:,} bytes it should have; they were removed")
    if due is not None and have < due:
        raise _Retry(f"the connection ended after {have:,} of {due:,} bytes")


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _Retry(f"the connection broke: {error}") from error


def _nothing_left(part: Path, error: urllib.error.HTTPError) -> None:
    """The server has no byte after what is here: that is all of it, or else another file and we start again."""
    if error.headers.get("Content-Range") == f"bytes */{_size(part)}":
        return
    part.unlink()
    raise _Retry("the file on the server is another one than the part that is here") from error


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
