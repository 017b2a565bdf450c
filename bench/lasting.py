"""Wall time that adds up over attempts, noted in a file beside the work: a kill loses seconds of it, not hours."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import CorruptArtefact
from bench.files import read_json, write_json

BEAT = 20.0  # seconds between two notes


@dataclass(frozen=True)
class Lasting:
    """Seconds spent by earlier attempts at the same work, and by all together."""

    before: float
    start: float = field(default_factory=time.perf_counter)

    def total(self) -> float:
        """Seconds of all attempts, this one until now."""
        return self.before + time.perf_counter() - self.start


@contextmanager
def lasting(path: Path) -> Iterator[Lasting]:
    """Times the work in the context. The file at `path` remembers it for the next attempt; delete it with the work."""
    watch, done = Lasting(_noted(path)), threading.Event()

    def note() -> None:
        with suppress(OSError):  # no room for a note must not end the work it is about
            write_json(path, {"seconds": watch.total()})

    def beat() -> None:
        while not done.wait(BEAT):
            note()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join()
        note()


def _noted(path: Path) -> float:
    try:
        return float(read_json(path)["seconds"])
    except (FileNotFoundError, CorruptArtefact, KeyError, ValueError):
        return 0.0
