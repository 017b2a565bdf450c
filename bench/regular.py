"""Regular files alone: a FIFO or a socket may keep its reader waiting for ever, and a device need not end."""

import errno
import stat
from pathlib import Path


def require_regular(path: Path) -> None:
    """Refuses what is neither a regular file nor a link to one.

    Raises:
        OSError: it is something else, or cannot be looked at; `bench.errors.why` tells which.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file, or of one that a link leads to. Raises OSError as `require_regular`."""
    require_regular(path)
    return path.read_bytes()
