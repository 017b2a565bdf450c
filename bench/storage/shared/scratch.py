"""Folders for the work of one command: gone when it ends, and with the next command where it was killed."""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.errors import UnreadableArtefact
from bench.progress import Progress, Silent
from bench.storage.files import LEFTOVER, sync_folder
from bench.storage.shared.leases import holder, is_of_dead, locked

TRIAL, SPEED = "trial", "speed"
_LOCK = "held.lock"  # within each, of the command that has it
WHOLE = "whole"


@contextmanager
def scratch_folder(cache: Path, kind: str, progress: Progress) -> Iterator[Path]:
    """A folder in the cache for as long as the context lasts; those of commands that were killed are taken away.

    Not in /tmp, which may be memory: stored labels are large.

    Args:
        kind: begins its name.
        progress: is told where another process has to be waited for.
    """
    with locked(gate(cache), progress, wait=True):  # nobody takes away a folder that is not locked yet
        for folder in abandoned(cache):
            shutil.rmtree(folder, ignore_errors=True)
        own = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=cache))
        held = ExitStack()
        held.enter_context(locked(own / _LOCK, Silent(), wait=False))
    with held:
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)


@contextmanager
def part_folder(place: Path, prefix: str = ".") -> Iterator[Path]:
    """A folder in a user's place to make something in; those whose maker was killed are taken away, and no others.

    Whether a maker lives is known from other machines too.

    Raises:
        OSError: it cannot be made there.
    """
    for left in place.glob(f"{glob.escape(prefix)}*{LEFTOVER}"):
        if is_of_dead(left / _LOCK):
            shutil.rmtree(left, ignore_errors=True)
    made = tempfile.TemporaryDirectory(prefix=prefix, suffix=LEFTOVER, dir=place, ignore_cleanup_errors=True)
    with made as part, ExitStack() as held:
        try:
            held.enter_context(locked(Path(part) / _LOCK, Silent(), wait=False, bring=False))
        except UnreadableArtefact as error:
            raise OSError(str(error)) from error
        yield Path(part)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yields a new folder to write into; on success it takes the name, on failure it is removed.

    Raises:
        OSError: among others, something is in a folder of that name already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with part_folder(path.parent, f"{path.name}.") as part:
        (whole := part / WHOLE).mkdir()
        yield whole
        for file in (each for each in whole.rglob("*") if each.is_file()):
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        whole.replace(path)
    sync_folder(path.parent)


def gate(cache: Path) -> Path:
    """The lock under which such folders are made and taken away."""
    return cache / "scratch.lock"


def abandoned(cache: Path) -> list[Path]:
    """Those whose command is there no more."""
    found = sorted(path for kind in (TRIAL, SPEED) for path in cache.glob(f"{kind}-*") if path.is_dir())
    return [path for path in found if holder(path / _LOCK) is None]
