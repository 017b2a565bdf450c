"""The loop of a synthesis: metered, shown, checkpointed, guarded against NaN, stoppable."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.errors import RunFailure
from bench.hardware.meters import Clock, IterationTimes, synchronize
from bench.loops import checkpoints
from bench.loops.checkpoints import State
from bench.loops.steps import Loop, LoopsTask

WARM_UP_STEPS = 3
CUDA_WINDOW = 10  # steps between two synchronisations of the device
GUARD_EVERY = 25  # steps between two looks for NaN; each costs a synchronisation. A checkpoint is preceded by one too


def window(device: torch.device, cycle: int = 1) -> int:
    """How many steps are timed together: whole cycles, after which what a step costs repeats itself."""
    return -(-(CUDA_WINDOW if device.type == "cuda" else 1) // cycle) * cycle


class _Meter:
    """Takes the times of a loop: of the first steps together, until `warm` are done, then of windows."""

    def __init__(self, times: IterationTimes, device: torch.device, images: int, cycle: int, *, warm: int) -> None:
        self._times, self._images, self._warm = times, images, warm
        self._steps, self._began = window(device, cycle), time.monotonic()
        self.clock = Clock(device, self._steps)

    def spent_s(self) -> float:
        """Seconds since the loop began."""
        return time.monotonic() - self._began

    def step(self, done: int) -> None:
        """Counts the latest of so many steps."""
        seconds = self.clock.step()
        if done == self._warm:
            synchronize(self.clock.device)
            self._times.warm_up_s += self.spent_s()
            self.clock.restart()
        elif done > self._warm and seconds is not None:
            self._times.windows.append(seconds / self._images)
            self._times.timed += self._steps

    def left(self, done: int) -> None:
        """The loop was left in the latest of so many steps, which nobody timed."""
        self._times.iterations = done
        if done <= self._warm:
            self._times.warm_up_s += self.spent_s()


@dataclass
class Iterations:
    """See `Task.iterations`, which makes it."""

    task: LoopsTask
    count: int
    images: int
    state: State | None
    what: str
    cycle: int = 1

    def __iter__(self) -> Iterator[int]:
        mine, start = self._resume()
        meter = _Meter(mine, self.task.device, self.images, self.cycle, warm=min(start + WARM_UP_STEPS, self.count))

        def save(done: int) -> None:
            with meter.clock.paused():
                self._guard(done)
                self._save(done, mine, mine.carried_s + meter.spent_s())

        try:
            for iteration in self._loop(save).walk(start):
                yield iteration
                done = iteration + 1
                meter.step(done)
                if done % GUARD_EVERY == 0 or done == self.count:
                    with meter.clock.paused():
                        self._guard(done)
        except GeneratorExit:  # the method went no further, as one that stops early
            meter.left(iteration + 1)
            self.task.times.merge(mine)
            raise
        self.task.times.merge(mine)

    def _loop(self, save: Callable[[int], None]) -> Loop:
        saves, task = save if self.state is not None else None, self.task
        least = window(task.device, self.cycle)  # or no window would be whole
        pace = task.pace if least == 1 else task.pace.at_least(WARM_UP_STEPS + least)
        watched = (pace, task.progress, task.should_stop)
        return Loop(self.what, self.count, *watched, "iterations", saves, task.checkpoint_seconds)

    @property
    def _checkpoint(self) -> Path:
        return self.task.workspace / f"{self.what}{checkpoints.SUFFIX}"

    def _resume(self) -> tuple[IterationTimes, int]:
        task = self.task
        checkpoints.check_state(self.state or {})
        facts = None if self.state is None else checkpoints.restore(self._checkpoint, self.state, task.progress)
        if facts is None:
            return IterationTimes(iterations=self.count), 0
        mine = IterationTimes(list(facts["windows"]), facts["warm_up_s"], self.count, facts["spent_s"])
        return mine, int(facts["done"])

    def _save(self, done: int, mine: IterationTimes, spent_s: float) -> None:
        assert self.state is not None
        facts = {"done": done, "windows": mine.windows, "warm_up_s": mine.warm_up_s, "spent_s": spent_s}
        checkpoints.save(self._checkpoint, self.state, facts)

    def _guard(self, done: int) -> None:
        for name, part in (self.state or {}).items():
            if isinstance(part, Tensor) and part.is_floating_point() and not bool(torch.isfinite(part).all()):
                raise RunFailure(f"{name} held NaN or infinity after {done} iterations of {self.what}")
