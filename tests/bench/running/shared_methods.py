"""A plugin for plans: a method that leaves a mark for each time it makes a unit, and waits where it is told to."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl
from bench.sets.condensed import CondensedSet


class MarkedConfig(MethodConfig):
    """`folder` is where marks go; a file called `wait` in it has units wait until it is gone.

    `wait-UNIT` has that one wait.
    """

    folder: str = ""


class Marked(Condenser[MarkedConfig]):
    Config = MarkedConfig

    def units(self, task: Task) -> Sequence[Unit]:
        return [Unit(f"part-{index}", tuple(range(task.classes)), index) for index in range(task.ipc)]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        marks = Path(self.config.folder)
        mark = marks / f"ipc{task.ipc}-{unit.name}.{time.monotonic_ns()}"
        mark.touch()
        while any((marks / name).exists() for name in ("wait", f"wait-ipc{task.ipc}-{unit.name}")):
            time.sleep(0.02)
        classes = torch.arange(task.classes)
        mark.rename(f"{mark}.made")
        return Images(torch.full((task.classes, 1, 8, 8), 10 * task.ipc, dtype=torch.uint8), classes)


class Untrained(Protocol):
    name, labels = "untrained-shared", "hard"

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        return Scores(top1=50.0, top5=None, epochs=1, seconds=0.1)


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [Offer("marked", Marked, "a test")]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer(Untrained.name, Untrained(), "the same score for every set")]
