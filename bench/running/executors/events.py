"""What a child process says to its parent: a line of JSON an event.

Plugins live in the child and can write to the same channel. So a line counts only where it has the form of an event;
all else, a line that was cut short by a kill among it, is passed over.
"""

import json
import os
import selectors
import time
from collections.abc import Iterator, Mapping
from subprocess import Popen
from typing import Any

FORMS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "progress": {"what": str, "done": int, "total": int},
    "note": {"fact": str, "text": str},
    "warning": {"message": str},
    "anew": {"found": dict},
    "record": {"record": dict},
    "set": {},
    "prepared": {"units": list},
    "made": {"left": list},
    "helped": {"units": list},
    "forecast": {"forecast": dict},
    "measured": {"measured": (dict, int, float)},
    "failed": {"reason": str},
    "owned": {"reason": str},
    "interrupted": {"reason": str},
    "away": {"reason": str},
}
PATIENCE = 1.0  # seconds of silence after which is looked whether the child lives
_BLOCK = 1 << 16
_LONGEST = 1 << 24  # bytes of a line; a record has some ten thousand


def event_in(line: bytes) -> tuple[str, dict[str, Any]] | None:
    """The event that a line tells of, and its facts; None for what is no event."""
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without an end
        return None
    kind = facts.pop("event", None) if isinstance(facts, dict) else None
    form = FORMS.get(kind) if isinstance(kind, str) else None
    if form is None or not all(isinstance(facts.get(name), wanted) for name, wanted in form.items()):
        return None
    return str(kind), {name: facts[name] for name in form}


def lines(child: "Popen[bytes]", until: float) -> Iterator[bytes]:
    """The lines on a child's standard output, until it is closed, the child has died, or the time has come.

    A process that a plugin left behind may hold the channel open for ever.

    Args:
        until: on the monotonic clock.
    """
    assert child.stdout
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if not selector.select(min(PATIENCE, left)):
                if child.poll() is not None:
                    return
                continue
            if not (piece := os.read(child.stdout.fileno(), _BLOCK)):
                return
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
            rest = rest if len(rest) <= _LONGEST else b""
