"""Who is at work on a machine beside whom: a time that was taken while others computed says how many there were.

Whoever has an order done keeps a file in the folder `at-work` of the cache meanwhile, and says in the files of all who
are there how many they are by now. So each finds in its own the most that there were, however late they came. It needs
no lock: lines are appended, and of two who come at once one sees the other. Who does not share the cache is not known.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.storage.files import digest
from bench.storage.shared.owners import machine, started

FOLDER, SEEN = "at-work", ".seen"


@contextmanager
def at_work(cache: Path) -> Iterator[Path]:
    """Within it this process has an order done on this machine; gives its file. Without room for one nobody knows."""
    file = _file_in(cache / FOLDER)
    with suppress(OSError):
        _enter(file)
        _say_how_many(file.parent)
    try:
        yield file
    finally:
        with suppress(OSError):
            file.unlink()


def mark(folder: Path) -> Path:
    """A file by which others see that they see the same folder; to be taken away, or else `tidy` does it."""
    file = _file_in(folder / SEEN)
    _enter(file)
    return file


def tidy(*folders: Path) -> None:
    """Takes away files that processes of this machine made here which were killed."""
    for folder in folders:
        for name in (FOLDER, SEEN):
            present(folder / name)


def _enter(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()


def _file_in(folder: Path) -> Path:
    return folder / f"{_here()}-{os.getpid()}-{started(os.getpid())}-{secrets.token_hex(4)}"


def _say_how_many(folder: Path) -> None:
    there = present(folder)
    for each in there:
        with suppress(OSError), os.fdopen(os.open(each, os.O_WRONLY | os.O_APPEND), "a") as lines:  # it may have ended
            lines.write(f"{len(there)}\n")


def present(folder: Path) -> list[Path]:
    """The files of processes of this machine that are there; those of processes that were killed are taken away."""
    found = []
    for path in folder.glob(f"{_here()}-*"):
        pid, began = path.name.split("-")[1:3]
        if str(started(int(pid))) == began:
            found.append(path)
        else:
            with suppress(OSError):
                path.unlink()
    return found


def _here() -> str:
    return digest([machine()])[:12]


class Company:
    """The most who are at work on this machine from now on, whoever asks among them.

    Args:
        file: of whoever asks, as `at_work` gave it; "" where it has none.
    """

    def __init__(self, file: str) -> None:
        self._file = Path(file) if file else None
        self._first = len(present(self._file.parent)) if self._file else 1
        self._before = len(self._lines())

    def most(self) -> int:
        """Until now."""
        return max(1, self._first, *map(int, self._lines()[self._before :]))

    def _lines(self) -> list[str]:
        with suppress(OSError):
            return self._file.read_text().splitlines() if self._file else []
        return []
