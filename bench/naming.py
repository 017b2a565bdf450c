"""Names the user types: checked against what exists, with the nearest valid choice in the message."""

import re
import reprlib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from bench.errors import UsageError

VARIANT = "+"  # between the name of a protocol and that of its variant: "hard+no-flip"
NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100  # characters
_SHORT.maxlong = 40  # digits


def check_name(name: str) -> None:
    """Holds what a plugin offers to the rule for names: they stand in file names and in METHOD=NAME as users type them.

    Raises:
        ValueError: other characters than lower-case letters, digits and, between them, single hyphens and dots; the
            message proposes a name.
    """
    if not NAME.fullmatch(name):
        proposed = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")
        hint = f", as in {proposed!r}" if NAME.fullmatch(proposed) else ""
        raise ValueError(f"{name!r} is no name: take lower-case letters, digits, hyphens and dots{hint}")


def brief(value: Any) -> str:  # noqa: ANN401 - any value that a user may give
    """A value as Python writes it, in about a line: what is long or deep is shortened."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python writes no whole number of more than some thousand digits
        return "a number of thousands of digits"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None where nothing resembles it."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown(kind: str, name: str, known: Iterable[str], listed_by: str | None = None) -> UsageError:
    """The error for a name that does not exist: one line, naming the nearest valid choice or all of them.

    Args:
        listed_by: the command that lists the choices, for those that grow without bound, as runs do.
    """
    choices = sorted(known)
    match = nearest(name, choices)
    every = f"{listed_by} names all" if listed_by else f"choose from {', '.join(choices) or '(none)'}"
    hint = f"did you mean {match!r}?" if match else every
    return UsageError(f"unknown {kind} {name!r}; {hint}")
