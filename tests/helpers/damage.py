"""Damaged variants of what a file holds: what a bad disk, a kill, an adversary or another version leaves of it."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.storage.files import digest

DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
ENDLESS = b'{"seconds": ' + b"9" * 10_000 + b"}"
OTHERS: tuple[Any, ...] = (None, True, -7, 2.5, "text", [], ["text", 3], {}, {"key": "text"})


def a_folder(path: Path) -> None:
    """A folder in place of a file."""
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    """One that nobody writes to."""
    path.unlink()
    os.mkfifo(path)


def a_link_to_itself(path: Path) -> None:
    """Which leads nowhere."""
    path.unlink()
    path.symlink_to(path)


def damaged(content: bytes, flips: int = 12) -> Iterator[tuple[str, bytes]]:
    """What the damage is, and the bytes: cut short, single bits flipped, followed by more, and other things altogether.

    The same content always gives the same variants.
    """
    for length in sorted({0, 1, 7, 8, len(content) // 2, len(content) - 1} - {len(content)}):
        yield f"cut to {length} bytes", content[: max(length, 0)]
    draws = random.Random(len(content))
    for position in (draws.randrange(len(content)) for _ in range(flips if content else 0)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << draws.randrange(8)
        yield f"a bit flipped in byte {position}", bytes(flipped)
    yield "zeros", bytes(len(content))
    yield "noise", draws.randbytes(len(content) + 1)
    yield "no UTF-8", b"\xff\xfe" + content
    yield "nested 100,000 deep", DEEP
    yield "a number of 10,000 digits", ENDLESS
    yield "a number without end", b'{"seconds": 1e999}'
    yield "a list", b"[]"
    yield "nothing in it", b"{}"


def altered(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON value
    """What was altered, and the whole value: at every key the key dropped, and a value of every other JSON type."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in parts:
        name = f"{where}.{key}" if where else str(key)
        if isinstance(value, dict):
            yield f"no {name}", {other: kept for other, kept in value.items() if other != key}
        for other in OTHERS:
            if type(other) is not type(inner) or other in ([], {}):
                yield f"{name} is {other!r}", _with(value, key, other)
        for what, changed in altered(inner, name):
            yield what, _with(value, key, changed)


def misread(content: bytes) -> Iterator[tuple[str, bytes]]:
    """What else may stand in a small sealed file of JSON: its damaged bytes, and each altered content, sealed anew."""
    yield from damaged(content)
    sealed = {key: value for key, value in json.loads(content).items() if key != "checksum"}
    for what, changed in altered(sealed):
        yield what, json.dumps({**changed, "checksum": digest(changed)}).encode()


def _with(value: Any, key: Any, inner: Any) -> Any:  # noqa: ANN401 - any JSON value
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[key] = inner
    return changed
