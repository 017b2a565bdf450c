"""What a user sets in the environment."""

import math
import os
import re
from contextlib import suppress
from pathlib import Path

from bench.errors import UsageError
from bench.storage.names import brief

DEFAULT_CACHE = Path("~/.cache/condensation-bench")


def cache_named() -> str:
    """What BENCH_CACHE says, or a folder in the user's cache."""
    return os.environ.get("BENCH_CACHE") or str(DEFAULT_CACHE)


def is_address(text: str) -> bool:
    """Whether it names a place by a scheme, as in s3://bucket/folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def machine_cache() -> Path:
    """The cache on this machine: what BENCH_CACHE names, or the user's where that is a store elsewhere."""
    named = cache_named()
    return (DEFAULT_CACHE if is_address(named) else Path(named)).expanduser()


def number_set(name: str, default: float, takes: str, *, above_zero: bool = False) -> float:
    """The number that an environment variable holds, or where it is unset the default.

    Args:
        takes: what the variable takes, in words that follow its name.
        above_zero: whether zero is too little; what is negative or not finite is none in any case.

    Raises:
        UsageError: it holds another text.
    """
    text = os.environ.get(name, str(default))
    with suppress(ValueError):
        number = float(text)
        if 0 <= number < math.inf and (number or not above_zero):
            return number
    raise UsageError(f"{name} {takes}, not {brief(text)}")
