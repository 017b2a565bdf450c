"""Files that a user hands over: looked at before they are opened, and never longer than what they can be.

A pipe would wait for a writer, a device has no end, a link may lead nowhere or to itself. Imports no torch.
"""

import os
import stat
from pathlib import Path, PurePath

from bench.errors import UsageError, why

LONGEST = 255  # bytes of a name, on nearly every file system

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def regular(path: Path) -> Path:
    """The same path, where a regular file is, itself or behind links.

    Raises:
        UsageError: nothing there, or something else; one line that says what.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # the second for names that no file can have
        raise UsageError(f"{path} cannot be read: {_missing(path, error)}") from error
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise UsageError(f"{path} cannot be read: it is {kind}, and a file is expected")
    return path


def content(path: Path, most: int) -> bytes:
    """All bytes of a regular file that has at most so many.

    Raises:
        UsageError: as `regular`, or a longer one; it is not read.
    """
    try:
        with regular(path).open("rb") as file:
            found = file.read(most + 1) if path.stat().st_size <= most else None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {why(error)}") from error
    if found is None or len(found) > most:
        raise UsageError(f"{path} is longer than {most:,} bytes, which no such file is")
    return found


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
