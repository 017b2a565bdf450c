"""Files that a user hands over: looked at before they are opened, and never longer than what they can be.

A pipe would wait for a writer, a device has no end, a link may lead nowhere or to itself. Imports no torch.
"""

import os
from pathlib import Path, PurePath

from bench.errors import UsageError, why
from bench.storage.regular_files import LONGEST, read_regular, require_regular


def regular(path: Path) -> Path:
    """The same path, where a regular file is, itself or behind links.

    Raises:
        UsageError: nothing there, or something else; one line that says what.
    """
    try:
        require_regular(path)
    except (OSError, ValueError) as error:  # the second for names that no file can have
        raise UsageError(f"{path} cannot be read: {_missing(path, error)}") from error
    return path


def require_content(path: Path) -> None:
    """Refuses what `regular` refuses, and a file without a byte, as a full disk or a cut copy leaves it."""
    if regular(path).stat().st_size == 0:
        raise UsageError(f"{path} is empty")


def content(path: Path, most: int) -> bytes:
    """All bytes of a regular file that has at most so many.

    Raises:
        UsageError: as `regular`, or a longer one; it is not read.
    """
    try:
        return read_regular(regular(path), most)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {why(error)}") from error


def plain_name(name: str) -> str:
    """The same name, where it can be that of something below a folder: relative, without "..".

    Raises:
        ValueError: any other; for pydantic, which makes a line of it.
    """
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise ValueError("what is named lies below the set's folder, itself or as a link")
    if not name.isprintable() or any(len(os.fsencode(part)) > LONGEST for part in PurePath(name).parts):
        raise ValueError(f"no file has this name: it has more than {LONGEST} bytes, or signs that are not shown")
    return name


def _missing(path: Path, error: OSError | ValueError) -> str:
    """Why nothing is known of a path; of a link that leads nowhere, where it leads."""
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return f"it is a link to {path.readlink()}, which is not there"
    return why(error)
