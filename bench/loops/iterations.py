"""The loop of a synthesis: metered, shown, checkpointed, guarded against NaN, stoppable."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.errors import RunFailure
from bench.hardware.meters import Clock, IterationTimes
from bench.loops import checkpoints
from bench.loops.checkpoints import State
from bench.loops.steps import Loop, LoopsTask

WARM_UP_STEPS = 3
CUDA_WINDOW = 10  # steps between two synchronisations of the device
GUARD_EVERY = 25  # steps between two looks for NaN; each costs a synchronisation. A checkpoint is preceded by one too


def window(device: torch.device, cycle: int = 1) -> int:
    """How many steps are timed together: whole cycles, after which what a step costs repeats itself."""
    return -(-(CUDA_WINDOW if device.type == "cuda" else 1) // cycle) * cycle


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
        steps = window(self.task.device, self.cycle)
        clock, began = Clock(self.task.device, steps), time.monotonic()

        def save(done: int) -> None:
            self._guard(done)
            self._save(done, mine, mine.carried_s + time.monotonic() - began)
            clock.restart()

        for iteration in self._loop(save).walk(start):
            yield iteration
            seconds, done = clock.step(), iteration + 1
            if done - start == min(WARM_UP_STEPS, self.count):
                mine.warm_up_s += time.monotonic() - began
                clock.restart()
            elif done - start > WARM_UP_STEPS and seconds is not None:
                mine.windows.append(seconds / self.images)
                mine.timed += steps
            if done % GUARD_EVERY == 0 or done == self.count:
                self._guard(done)
                clock.restart()
        self.task.times.merge(mine)

    def _loop(self, save: Callable[[int], None]) -> Loop:
        saves, task = save if self.state is not None else None, self.task
        pace = task.pace if self.cycle == 1 else task.pace.at_least(WARM_UP_STEPS + self.cycle)
        watched = (pace, task.progress, task.should_stop)
        return Loop(self.what, self.count, *watched, "iterations", saves, task.checkpoint_seconds)

    @property
    def _checkpoint(self) -> Path:
        return self.task.workspace / f"{self.what}.checkpoint.safetensors"

    def _resume(self) -> tuple[IterationTimes, int]:
        task = self.task
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
