"""Folders for the work of one command: gone when it ends, and with the next command where it was killed."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.progress import Progress, Silent
from bench.storage.leases import holder, locked

TRIAL, SPEED = "trial", "speed"
_LOCK = "held.lock"  # within each, of the command that has it


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


def gate(cache: Path) -> Path:
    """The lock under which such folders are made and taken away."""
    return cache / "scratch.lock"


def abandoned(cache: Path) -> list[Path]:
    """Those whose command is there no more."""
    found = sorted(path for kind in (TRIAL, SPEED) for path in cache.glob(f"{kind}-*") if path.is_dir())
    return [path for path in found if holder(path / _LOCK) is None]
