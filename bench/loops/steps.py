"""The one loop of the harness: shown, stoppable, saved now and then, tried by a dry run.

Syntheses (`Task.iterations`), trainings, labellings and passes over images all walk it. What a step does, what is saved
and what is measured of it is theirs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from bench.errors import Interrupted
from bench.hardware.meters import IterationTimes
from bench.loops.checkpoints import CheckpointSchedule
from bench.loops.pace import Pace
from bench.progress import Progress, Throttled


class LoopsTask(Protocol):
    """What loops need of a task (`bench.condensation.Task`)."""

    device: torch.device
    workspace: Path
    progress: Progress
    checkpoint_seconds: float
    pace: Pace
    times: IterationTimes

    @property
    def should_stop(self) -> Callable[[], bool]:
        """Whether the user asked to stop."""


@dataclass(frozen=True)
class Loop:
    """A loop of `count` steps called `what`.

    Attributes:
        steps: what messages call its steps.
        save: keeps the state after so many steps. Without it nothing is kept, and an attempt that is to stop makes no
            step; with it every attempt makes one or more, so that all of them together come to the end.
        save_every: seconds (see `CheckpointSchedule`).
        once: see `Pace.walk`.
    """

    what: str
    count: int
    pace: Pace
    progress: Progress
    should_stop: Callable[[], bool]
    steps: str = "steps"
    save: Callable[[int], None] | None = None
    save_every: float = 0.0
    once: bool = False

    def walk(self, start: int = 0) -> Iterator[int]:
        """Yields the steps from `start`, that many being done, to count - 1; of a trial the first of them.

        Raises:
            Interrupted: the user asked to stop; the state is saved first.
        """
        progress, schedule = Throttled(self.progress), CheckpointSchedule(self.save_every)
        progress.advance(self.what, start, self.count)  # a step may take minutes
        for step in self.pace.walk(self.what, start, self.count, once=self.once):
            if (step > start or not self.save) and self.should_stop():
                self._saved(step, schedule)
                raise Interrupted(f"stopped after {step} of {self.count} {self.steps} of {self.what}")
            yield step
            progress.advance(self.what, step + 1, self.count)
            if schedule.due():
                self._saved(step + 1, schedule)

    def _saved(self, done: int, schedule: CheckpointSchedule) -> None:
        if self.save:
            with schedule.saving():
                self.save(done)
