"""Numbers as people read and write them."""

import re
from collections.abc import Mapping

_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smh]?)")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT])(i?)B")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def duration(seconds: float) -> str:
    """Seconds as "0.4 s", "41 s", "12 min", "3.4 h", "6.5 days"."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 100 * 3600 else f"{seconds / 86400:.1f} days"


def size(count: float) -> str:
    """Bytes in binary units: "912 B", "1.4 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def peak_of(memory: Mapping[str, int | None] | None) -> int | None:
    """Of a peak the bytes that say what was needed: the allocator's on CUDA, else the process's; None: not known."""
    found = memory or {}
    return found.get("rss") if found.get("allocated") is None else found["allocated"]


def size_in(text: str) -> int:
    """The bytes in "800MB" (thousands) or "16 GiB" (1024s).

    Raises:
        ValueError: another word, or no size at all; one line.
    """
    found = _SIZE.fullmatch(text)
    count = int(float(found[1]) * (1024 if found[3] else 1000) ** (1 + "KMGT".index(found[2]))) if found else 0
    if count <= 0:
        raise ValueError(f"{text!r} is no size above 0: take a number with MB, MiB, GB or GiB, as in 800MiB or 16GiB")
    return count


def seconds(text: str) -> float:
    """The seconds in "90", "90s", "30m" or "2h".

    Raises:
        ValueError: another word, or no time at all; one line.
    """
    found = _TIME.fullmatch(text)
    number = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if number <= 0:
        raise ValueError(f"{text!r} is no time above 0: take seconds, or a number with s, m or h, as in 90, 30m or 2h")
    return number
