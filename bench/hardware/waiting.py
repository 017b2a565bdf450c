"""How long the threads of this process were ready to run and had no core, because others had them.

A wall time says nothing of that, and the CPU seconds beside it little: a thread may as well wait for a file, or for
another thread. The kernel knows the difference and counts both for every thread (Linux, /proc/PID/task/TID/schedstat).
It does not know of cores that a hypervisor gives to another machine, nor of a GPU that others share.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

THREADS = Path("/proc/self/task")


@dataclass(frozen=True)
class CoreTime:
    """Seconds in which threads had a core, and in which they were ready and `waited` for one; summed over them."""

    had: float = 0.0
    waited: float = 0.0

    def __add__(self, other: "CoreTime") -> "CoreTime":
        """Both together."""
        return CoreTime(self.had + other.had, self.waited + other.waited)

    def without(self, part: "CoreTime") -> "CoreTime":
        """The rest beside a part, of which threads that ended since may have had more than is known of the whole."""
        return CoreTime(max(0.0, self.had - part.had), max(0.0, self.waited - part.waited))

    @property
    def share(self) -> float | None:
        """Which part of it all they waited; None where the system does not say."""
        both = self.had + self.waited
        return self.waited / both if both else None


class CoreWatch:
    """The core time of this process from now on; that of a thread which ended since is lost."""

    def __init__(self) -> None:
        self._before = _of_threads()

    def until_now(self) -> CoreTime:
        """Of all threads that are there."""
        return sum((self._since(name, now) for name, now in _of_threads().items()), CoreTime())

    def _since(self, thread: str, now: CoreTime) -> CoreTime:
        """A number that an ended thread had may be another's by now."""
        before = self._before.get(thread, CoreTime())
        return now if now.had < before.had else CoreTime(now.had - before.had, max(0.0, now.waited - before.waited))


def _of_threads() -> dict[str, CoreTime]:
    """By thread; nothing where the system does not say."""
    found = {}
    for path in THREADS.glob("*/schedstat"):
        with suppress(OSError, ValueError):  # it ended meanwhile
            had, waited = map(int, path.read_text().split()[:2])
            found[path.parent.name] = CoreTime(had / 1e9, waited / 1e9)
    return found


def share_of_all(pieces: Iterable[tuple[float, float | None]]) -> float | None:
    """Of pieces of work, each with its seconds and its share: the share of all; None where none is known."""
    known = [(seconds, share) for seconds, share in pieces if share is not None]
    together = sum(seconds for seconds, _ in known)
    return sum(seconds * share for seconds, share in known) / together if together > 0 else None
