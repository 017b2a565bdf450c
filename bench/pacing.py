"""How far a loop goes: to its end, or only a few steps, whose time is to be known."""

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import torch

TRIAL_WARM_UP = 3
TRIAL_STEPS = 30
TRIAL_LEAST = 2  # steps, once a loop has taken
TRIAL_SECONDS = 6.0


class Pace:
    """The pace of a real run: every step."""

    def walk(self, what: str, start: int, stop: int) -> Iterator[int]:
        """The steps from `start` to `stop` of the loop called `what`."""
        yield from range(start, stop)

    def alike(self, what: str, count: int) -> Iterator[int]:
        """Which of `count` pieces of work to do, each with loops of its own that cost the same: all of them."""
        yield from range(count)


@dataclass(frozen=True)
class Few(Pace):
    """The first steps of every loop.

    Attributes:
        most: so many steps; 0 leaves every loop out, as where what is prepared need not be good.
        seconds: a loop that takes longer ends earlier, but not before it has made `least` steps.
    """

    most: int
    least: int = 0
    seconds: float = math.inf

    def walk(self, what: str, start: int, stop: int) -> Iterator[int]:
        """The first steps of the loop."""
        began = time.perf_counter()
        for step in range(start, min(stop, start + self.most)):
            if step - start >= self.least and time.perf_counter() - began > self.seconds:
                return
            yield step

    def alike(self, what: str, count: int) -> Iterator[int]:
        """The first piece of work."""
        yield from range(min(count, 1))


@dataclass(frozen=True)
class Sample:
    """What a trial saw of one loop: all its steps, seconds a step, seconds until it was warm, seconds it ran.

    `rest` tells the pieces that nobody tried (`Pace.alike`), of which a step is one.
    """

    what: str
    steps: int
    step_s: float
    warm_up_s: float
    spent_s: float
    rest: bool = False

    @property
    def whole_s(self) -> float:
        """What the whole loop would take."""
        return self.warm_up_s + self.steps * self.step_s


@dataclass
class Trial(Pace):
    """The pace of a dry run: a few steps of every loop, timed one by one."""

    device: torch.device
    samples: list[Sample] = field(default_factory=list)

    def walk(self, what: str, start: int, stop: int) -> Iterator[int]:
        """The first steps of the loop, until there are enough of them or they took long enough."""
        began = time.perf_counter()
        marks = [began]
        for step in range(start, stop):
            yield step
            marks.append(self._now())
            if len(marks) - 1 >= _enough(marks[-1] - began):
                break
        self.samples.append(_sample(what, stop - start, marks))

    def alike(self, what: str, count: int) -> Iterator[int]:
        """The pieces up to the first that walks a loop, and so was not there before; it speaks for those after it."""
        for index in range(count):
            seen = len(self.samples)
            yield index
            if walked := self.samples[seen:]:
                whole_s = sum(sample.whole_s for sample in walked)
                self.samples.append(Sample(what, count - index - 1, whole_s, 0.0, 0.0, rest=True))
                return

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _enough(elapsed: float) -> int:
    """How many steps are enough, when a loop runs for so many seconds: of steps that take seconds, one warms up."""
    return TRIAL_LEAST if elapsed > TRIAL_SECONDS else TRIAL_WARM_UP + TRIAL_STEPS


def _sample(what: str, steps: int, marks: list[float]) -> Sample:
    took = [after - before for before, after in pairwise(marks)]
    warm_up = TRIAL_WARM_UP if len(took) > TRIAL_WARM_UP else len(took) - 1
    warm, early = took[warm_up:], took[:warm_up]
    step_s = statistics.fmean(warm) if warm else 0.0
    return Sample(what, steps, step_s, max(0.0, sum(early) - len(early) * step_s), marks[-1] - marks[0])
