"""Regular files alone: a FIFO or a socket may keep its reader waiting for ever, and a device need not end."""

import errno
import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

LONGEST = 255  # bytes of a name that file systems take


def machine_memory() -> int:
    """Bytes of this machine's memory: what a file holds beyond that cannot be read, whatever it says."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def require_regular(path: Path) -> None:
    """Refuses what is neither a regular file nor a link to one.

    Raises:
        OSError: it is something else, or cannot be looked at; `bench.errors.why` tells which.
    """
    if not stat.S_ISREG(mode := path.stat().st_mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, and a file is expected", str(path))


def read_regular(path: Path, most: int | None = None) -> bytes:
    """The bytes of a regular file, or of one that a link leads to.

    Args:
        most: bytes that such a file can have; a longer one is not read.

    Raises:
        OSError: as `require_regular`, or it is longer.
    """
    require_regular(path)
    if most is None:
        return path.read_bytes()
    with path.open("rb") as file:  # what the system says of its size may be wrong, as below /proc
        content = file.read(most + 1) if path.stat().st_size <= most else b""
        if len(content) > most or path.stat().st_size > most:
            raise OSError(errno.EFBIG, f"it is longer than {most:,} bytes, which no such file is", str(path))
        return content
