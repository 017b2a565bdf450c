"""How many steps a loop makes: all of them, or a few that are timed."""

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from bench.hardware.meters import synchronize
from bench.hardware.quantities import duration
from bench.progress import COMPILING

TRIAL_WARM_UP = 3
TRIAL_STEPS = 30
TRIAL_SECONDS = 10.0  # of a loop: what makes its steps ready, and the steps; the step under way then is the last
WALKING_SECONDS = 2.0  # of them, kept for the steps themselves
TRIAL_PIECES = 2  # of a step that would take longer


class Pace:
    """The pace of a real run: every step."""

    def walk(self, what: str, start: int, stop: int, *, once: bool = False) -> Iterator[int]:
        """The steps from `start` to `stop` of the loop called `what`.

        Args:
            once: what the loop makes serves the rest of the process, so pieces of work alike walk it but once.
        """
        yield from range(start, stop)

    def at_least(self, steps: int) -> "Pace":
        """The same pace for a loop of which fewer steps tell nothing; this one makes all anyway."""
        return self

    def alike(self, what: str, count: int) -> Iterator[int]:
        """Which of `count` pieces of work to do, each with loops of its own that cost the same: all of them."""
        yield from range(count)

    def part(self, count: int) -> int:
        """How many of `count` pieces alike, of which a step of a loop consists, to do in this one: all of them."""
        return count

    def left_s(self) -> float:
        """Seconds that may still go into making the steps of the next loop ready."""
        return math.inf

    def ready(self, seconds: float) -> None:
        """So many went into that."""

    def postpone(self, work: "Postponed") -> None:
        """What would take too long now is left to the run itself."""


@dataclass(frozen=True)
class FirstSteps(Pace):
    """The first steps of every loop.

    Attributes:
        most: so many steps; 0 leaves every loop out, as where what is prepared need not be good.
        seconds: a loop that takes longer ends earlier, but not before it has made `least` steps.
    """

    most: int
    least: int = 0
    seconds: float = math.inf

    def walk(self, what: str, start: int, stop: int, *, once: bool = False) -> Iterator[int]:
        """The first steps of the loop."""
        began = time.perf_counter()
        for step in range(start, min(stop, start + self.most)):
            if step - start >= self.least and time.perf_counter() - began > self.seconds:
                return
            yield step

    def at_least(self, steps: int) -> "Pace":
        """So many steps, where it makes any."""
        return replace(self, most=max(self.most, steps), least=max(self.least, steps)) if self.most else self

    def alike(self, what: str, count: int) -> Iterator[int]:
        """The first piece of work."""
        yield from range(min(count, 1))


@dataclass(frozen=True)
class Postponed:
    """Compiling a part of the steps of the next loop: seconds that this should take, and the share of a step it saves.

    The run does it where that pays, or else if it is `certain` to.
    """

    what: str
    seconds: float
    saved: float
    certain: bool


@dataclass(frozen=True)
class Sample:
    """What a trial saw of one loop: all its steps, seconds a step, seconds until it was warm, seconds it ran.

    `rest` tells the pieces that nobody tried (`Pace.alike`), of which a step is one, and `once` what a process does
    once for all loops like the one before. `notes` say what was not measured. The loop went on from `done` steps that
    were made before.
    """

    what: str
    steps: int
    step_s: float
    warm_up_s: float
    spent_s: float
    rest: bool = False
    once: bool = False
    notes: tuple[str, ...] = ()
    done: int = 0

    @property
    def whole_s(self) -> float:
        """What all that is left of the loop would take."""
        return self.warm_up_s + self.steps * self.step_s

    @property
    def anew_s(self) -> float:
        """What the loop would take from its first step on."""
        return self.whole_s + self.done * self.step_s


@dataclass
class Trial(Pace):
    """The pace of a dry run: a few steps of every loop, timed one by one.

    Making the steps ready and walking them takes `TRIAL_SECONDS`, and one step more where it is slow.
    """

    device: torch.device
    samples: list[Sample] = field(default_factory=list)
    _ready_s: float = 0.0
    _postponed: list[Postponed] = field(default_factory=list)
    _ends: float = 0.0  # when the loop under way has had its seconds
    _piece_s: float = math.inf  # of its last step
    _pieces: tuple[int, int] = (1, 1)  # of the step under way, made and in all

    def walk(self, what: str, start: int, stop: int, *, once: bool = False) -> Iterator[int]:
        """The first steps of the loop, until there are enough of them or they took long enough."""
        enough_s, self._ready_s = max(WALKING_SECONDS, self.left_s()), 0.0
        began = now = time.perf_counter()
        took, self._ends, self._piece_s = list[float](), began + enough_s, math.inf
        for step in range(start, stop):
            before, self._pieces = now, (1, 1)
            yield step
            now = self._now()
            took.append(self._whole(now - before))
            if len(took) >= TRIAL_WARM_UP + TRIAL_STEPS or now > self._ends:
                break
        sample = replace(_sample(what, stop - start, took, now - began, self._pieces), once=once, done=start)
        self.samples += _compiled(sample, self._postponed)
        self._postponed = []

    def part(self, count: int) -> int:
        """Few while all should take longer than the loop has, which in its first step nobody knows."""
        fits = self._piece_s * count <= self._ends - time.perf_counter()
        self._pieces = (count if fits else min(count, TRIAL_PIECES), count)
        return self._pieces[0]

    def _whole(self, seconds: float) -> float:
        """What the step under way would have taken with all of its pieces."""
        made, count = self._pieces
        self._piece_s = seconds / made
        return self._piece_s * count

    def alike(self, what: str, count: int) -> Iterator[int]:
        """The pieces up to the first that walks a loop, and so was not there before; it speaks for those after it."""
        for index in range(count):
            seen = len(self.samples)
            yield index
            if walked := self.samples[seen:]:
                whole_s = sum(sample.anew_s for sample in walked if not sample.once)
                self.samples.append(Sample(what, count - index - 1, whole_s, 0.0, 0.0, rest=True))
                return

    def left_s(self) -> float:
        """Of `TRIAL_SECONDS`, what making the steps ready has left."""
        return TRIAL_SECONDS - self._ready_s

    def ready(self, seconds: float) -> None:
        """Takes the seconds off what the next loop may take."""
        self._ready_s += seconds

    def postpone(self, work: Postponed) -> None:
        """Counts the next loop as the run will walk it."""
        self._postponed.append(work)

    def notes(self, first: int = 0) -> list[str]:
        """What was not measured of the samples from `first` on, each said once."""
        return list(dict.fromkeys(note for sample in self.samples[first:] for note in sample.notes))

    def _now(self) -> float:
        synchronize(self.device)
        return time.perf_counter()


def _sample(what: str, steps: int, took: Sequence[float], spent_s: float, pieces: tuple[int, int]) -> Sample:
    warm_up = TRIAL_WARM_UP if len(took) > TRIAL_WARM_UP else len(took) - 1
    warm, early = took[warm_up:], took[:warm_up]
    step_s = statistics.fmean(warm) if warm else 0.0
    warm_up_s = max(0.0, sum(early) - len(early) * step_s)
    notes = (*_few_steps(what, steps, len(took), step_s), *_few_pieces(what, *pieces))
    return Sample(what, steps, step_s, warm_up_s, spent_s, notes=notes)


def _compiled(plain: Sample, postponed: Sequence[Postponed]) -> list[Sample]:
    """A loop as it should be with what of its steps the run compiles, and compiling that; the least saving counts."""
    made = [each for each in postponed if each.certain or each.saved * plain.steps * plain.step_s > each.seconds]
    if not made:
        return [plain]
    seconds, saved = sum(each.seconds for each in made), min(each.saved for each in made)
    expected = f"taken to need {duration(seconds)} and to save {saved:.0%} of a step"
    note = f"{plain.what} was tried uncompiled; the run compiles it, {expected}"
    return [
        replace(plain, step_s=(1 - saved) * plain.step_s, notes=(*plain.notes, note)),
        Sample(f"{COMPILING}{plain.what}", 1, seconds, warm_up_s=0.0, spent_s=0.0, once=True),
    ]


def _few_steps(what: str, steps: int, tried: int, step_s: float) -> list[str]:
    """What to say where no step came after those that warm up."""
    few = tried <= TRIAL_WARM_UP and tried < steps
    return [f"{what} stands on {tried} of {steps} steps, the last of {duration(step_s)}"] if few else []


def _few_pieces(what: str, made: int, count: int) -> list[str]:
    """What to say where no step was whole."""
    said = f"of a step of {what} {made} of {count} pieces were made; the peak of memory of all may be higher"
    return [said] if made < count else []
