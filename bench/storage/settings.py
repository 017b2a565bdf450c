"""Numbers that a user sets in the environment."""

import math
import os
from contextlib import suppress

from bench.errors import UsageError
from bench.storage.names import brief


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
