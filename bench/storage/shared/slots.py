"""The numbered files of a lease (`bench.storage.shared.leases`): what is asked of them, and files in a folder."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

LEASES = ".leases"  # the folder of all leases on names in the folder around it
FREE = b"free\n"  # begins the file of an owner that gave its lease back
LONGEST = 4096  # bytes of a file that are read


class Slots(Protocol):
    """The numbered files of one lease, wherever they lie."""

    @property
    def pause(self) -> float:
        """Seconds between two looks at a lease that is waited for."""
        ...

    @property
    def hasty(self) -> "Slots":
        """The same, asked once where they are far away and may not answer."""
        ...

    def numbers(self) -> list[int]:
        """Those there are, ascending."""
        ...

    def create(self, number: int, content: bytes) -> bool:
        """Makes a file that nobody has made; False where somebody has. Its content may be lost where no room is."""
        ...

    def read(self, number: int) -> tuple[bytes, object]:
        """Its content, and something that differs after each `write`. Raises FileNotFoundError."""
        ...

    def write(self, number: int, content: bytes) -> None:
        """Writes over the beginning of a file that is there. Raises FileNotFoundError."""
        ...

    def free(self, number: int) -> None:
        """Has it begin with `FREE`, or takes it away. Raises FileNotFoundError."""
        ...

    def remove(self, number: int) -> None:
        """Takes it away, if it is there."""
        ...


@dataclass(frozen=True)
class FolderSlots:
    """Files in a folder of this lease alone: a listing of it is one call of the system, which nothing interrupts."""

    folder: Path
    pause: float = 0.05

    @property
    def hasty(self) -> "FolderSlots":
        """The same: the system waits as long as it likes."""
        return self

    def numbers(self) -> list[int]:
        """See `Slots`."""
        try:
            return sorted(int(name) for name in os.listdir(self.folder) if name.isdecimal())  # noqa: PTH208 - twice as fast
        except FileNotFoundError:
            return []

    def create(self, number: int, content: bytes) -> bool:
        """A full disk has room for the file's name, though not for whose it is: such a lease is anybody's guess."""
        try:
            handle = self._made(number)
        except FileExistsError:
            return False
        try:
            with suppress(OSError):
                os.write(handle, content)
        finally:
            os.close(handle)
        return True

    def _made(self, number: int) -> int:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        try:
            return os.open(self._file(number), flags, 0o666)
        except FileNotFoundError:  # the first of its name
            self.folder.mkdir(parents=True, exist_ok=True)
            return os.open(self._file(number), flags, 0o666)

    def read(self, number: int) -> tuple[bytes, object]:
        """See `Slots`."""
        with self._file(number).open("rb") as handle:
            content = handle.read(LONGEST)
            return content, (content, os.fstat(handle.fileno()).st_mtime_ns)

    def write(self, number: int, content: bytes) -> None:
        """In place, which takes no room; where the file has none, that it was touched is seen all the same."""
        handle = os.open(self._file(number), os.O_WRONLY)
        try:
            os.pwrite(handle, content, 0)
        except OSError:
            os.utime(handle)
        finally:
            os.close(handle)

    def free(self, number: int) -> None:
        """It goes where it has no room for the word: nobody could take it for dead meanwhile."""
        handle = os.open(self._file(number), os.O_WRONLY)
        try:
            os.pwrite(handle, FREE, 0)
        except OSError:
            self.remove(number)
        finally:
            os.close(handle)

    def remove(self, number: int) -> None:
        """See `Slots`."""
        self._file(number).unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        return self.folder / str(number)
