"""Wall time that adds up over attempts, noted in a file beside the work: a kill loses seconds of it, not hours.

Beside it, how many were at work during any of them, and how long it waited for a core that others had: what was taken
in company stays so, whoever goes on with it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from bench.hardware.waiting import CoreTime, CoreWatch
from bench.progress import Progress, Silent
from bench.storage.artefacts import UNSTAMPED, Kind, Part, unchanged, whole_or_aside
from bench.storage.shared.company import Company

BEAT = 20.0  # seconds between two notes


class Seconds(Part):
    """How long work has taken until now."""

    seconds: Annotated[float, Field(ge=0)]


class Busy(Part):
    """The most who were at work on a machine until now, and the core time of one piece of work."""

    workers: Annotated[int, Field(ge=1)]
    had: Annotated[float, Field(ge=0)] = 0.0
    waited: Annotated[float, Field(ge=0)] = 0.0


BUSY_FILE = Kind("the workers of earlier attempts", 1, Busy)
SECONDS_FILE = Kind("the seconds of earlier attempts", 1, Seconds, {UNSTAMPED: unchanged})


@dataclass(frozen=True)
class Lasting:
    """Seconds spent by earlier attempts at the same work, and by all together.

    `aside` tells seconds that are another's cost, however many they are by now: those within the work are left out.
    """

    before: float
    aside: Callable[[], float] = lambda: 0.0
    start: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", self._now())

    def total(self) -> float:
        """Seconds of all attempts, this one until now."""
        return self.before + self.now()

    def now(self) -> float:
        """Seconds of this attempt until now."""
        return self._now() - self.start

    def _now(self) -> float:
        return time.perf_counter() - self.aside()


@contextmanager
def lasting(
    path: Path, aside: Callable[[], float] = lambda: 0.0, progress: Progress | None = None
) -> Iterator[Lasting]:
    """Times the work in the context. The file at `path` remembers it for the next attempt; delete it with the work.

    Args:
        aside: see `Lasting`.
        progress: is told of a file that is damaged; seconds of earlier attempts are then lost.
    """
    watch, done = Lasting(_noted(path, progress or Silent()), aside), threading.Event()

    def note() -> None:
        with suppress(OSError):  # no room for a note must not end the work it is about
            SECONDS_FILE.write(path, {"seconds": watch.total()})

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


def _noted(path: Path, progress: Progress) -> float:
    warning = "what earlier attempts took is not known, their note is set aside as {}"
    noted = whole_or_aside(partial(SECONDS_FILE.read, path), path, progress, warning)
    return noted.seconds if noted else 0.0


class Others:
    """Who else wanted the machine while work was done there, during any attempt at it.

    `aside` tells core time that is another's, as that of `Lasting` tells seconds.
    """

    def __init__(self, note: Path, company: Company, earlier: Busy, aside: Callable[[], CoreTime] = CoreTime) -> None:
        self._note, self._company, self._most = note, company, earlier.workers
        self._aside, self._aside_before = aside, aside()
        self._before, self._watch = CoreTime(earlier.had, earlier.waited), CoreWatch()

    def workers(self) -> int:
        """The most who were at work, this one among them, until now."""
        if (now := self._company.most()) > self._most:
            self._most = now
            self.note()
        return self._most

    def waited(self) -> float | None:
        """The share of its time that this process was ready and had no core; None where the system does not say."""
        return self._cores().share

    def note(self) -> None:
        """For whoever goes on with the work."""
        cores = self._cores()
        with suppress(OSError):  # as above
            BUSY_FILE.write(self._note, {"workers": self._most, "had": cores.had, "waited": cores.waited})

    def _cores(self) -> CoreTime:
        apart = self._aside().without(self._aside_before)
        return self._before + self._watch.until_now().without(apart)


@contextmanager
def beside_others(
    folder: Path, file: str, progress: Progress | None = None, aside: Callable[[], CoreTime] = CoreTime
) -> Iterator[Others]:
    """Watches who else wants the machine while the work in a folder is done. Of a kill it forgets what was waited.

    Args:
        file: as of `bench.storage.shared.company.Company`.
        progress: is told of a note that is damaged.
        aside: see `Others`.
    """
    path = folder / "workers.json"
    warning = "how many workers were busy during earlier attempts is not known, their note is set aside as {}"
    noted = whole_or_aside(partial(BUSY_FILE.read, path), path, progress or Silent(), warning)
    others = Others(path, Company(file), noted or Busy(workers=1), aside)
    others.workers()
    try:
        yield others
    except BaseException:
        others.note()
        raise
    finally:
        others.workers()
