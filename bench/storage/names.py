"""Names: what they may be, as they become parts of paths, and the nearest valid choice for one that does not exist."""

import re
import reprlib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import PurePath, PureWindowsPath
from typing import Any

from bench.errors import RunFailure, UsageError
from bench.storage.streams import shown

VARIANT = "+"  # between the name of a protocol and that of its variant: "hard+no-flip"
NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100  # characters
_SHORT.maxlong = 40  # digits
LONGEST_NAME = 64  # characters; three of them and a hash are the name of a run folder, and file systems take 255 bytes
FILE_NAME = re.compile(r"[^\W_][\w .+-]{0,49}")  # a character takes up to 4 bytes, and a suffix comes behind


def check_name(name: str) -> None:
    """Holds what a plugin offers to the rule for names: they stand in file names and in METHOD=NAME as users type them.

    Raises:
        ValueError: other characters than lower-case letters, digits and, between them, single hyphens and dots, for
            which the message proposes a name; or more than 64 characters.
    """
    if len(name) > LONGEST_NAME:
        raise ValueError(f"{brief(name)} is no name: it has {len(name)} characters, more than {LONGEST_NAME}")
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


def check_file_name(what: str, name: str) -> None:
    """Holds what a method names at run time, which becomes the name of a file, to the rule for those.

    Raises:
        RunFailure: other characters than letters, digits, blanks, "_", ".", "+" and "-", no letter or digit at its
            beginning, or more than 50 characters.
    """
    if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
        rule = "take letters, digits, '-', '_' and '.', at most 50, a letter or a digit first"
        raise RunFailure(f"{brief(name)} names {what} and so a file: {rule}")


def below(path: str) -> str:
    """The path of a file that stays below the folder it is relative to.

    Raises:
        ValueError: it is absolute, empty, leads out by "..", or holds characters that cannot be seen.
    """
    parts = PurePath(path).parts
    if not parts or ".." in parts or PurePath(path).is_absolute() or PureWindowsPath(path).drive or shown(path) != path:
        raise ValueError("it must be a file below the folder: no absolute path, no '..', no control characters")
    return path


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, in whatever case it was typed; None where nothing resembles it."""
    spelt = {each.lower(): each for each in known}
    matches = get_close_matches(name.lower(), spelt, n=1, cutoff=0.5)
    return spelt[matches[0]] if matches else None


def unknown(
    kind: str, name: str, known: Iterable[str], listed_by: str | None = None, meant: str | None = None
) -> UsageError:
    """The error for a name that does not exist: one line, naming the nearest valid choice or all of them.

    Args:
        listed_by: the command that lists the choices, for those that grow without bound, as runs do.
        meant: a choice that is known to be nearer than its spelling tells.
    """
    choices = sorted(known)
    match = meant or nearest(name, choices)
    every = f"{listed_by} names all" if listed_by else f"choose from {', '.join(choices) or '(none)'}"
    hint = f"did you mean {match!r}?" if match else every
    return UsageError(f"unknown {kind} {brief(name)}; {hint}")
