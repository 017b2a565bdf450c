"""A plugin whose method and protocol let a clock run that their test holds: so many seconds for each thing they do."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.drawing import draw
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl
from bench.sets.condensed import CondensedSet
from bench.storage.shared.stages import Made

STAGE_S, SYNTHESIS_S, TEACHER_S, TRAINING_S, COMPILING_S = 1000.0, 10.0, 300.0, 20.0, 50.0


def lasts(seconds: float) -> None:
    time.perf_counter.now += seconds  # type: ignore[attr-defined]


def stage(task: Task, kind: str, seconds: float) -> None:
    def make(_: Path) -> Made:
        lasts(seconds)
        return Made({}, {"top1": 50.0})

    task.stage(kind, 1, {}, make)


class Late(Condenser[MethodConfig]):
    """Real images; it asks for a stage in the midst of its synthesis."""

    def synthesize(self, task: Task, unit: Unit) -> Images:
        stage(task, "late", STAGE_S)
        lasts(SYNTHESIS_S)
        chosen = torch.cat([draw(task.dataset, label, task.ipc, task.seed_for("any")) for label in unit.classes])
        return Images(task.dataset.train.take(chosen), task.dataset.train.labels[chosen])


class Slow(Protocol):
    """It makes a stage, compiles and trains, and counts all of that as its training."""

    name, labels = "slow", "teacher"

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        began = time.perf_counter()
        stage(task, "slow-teacher", TEACHER_S)
        if not (task.stages.root / "compiled").exists():
            (task.stages.root / "compiled").mkdir()
            lasts(COMPILING_S)
            task.measured.compiling_s += COMPILING_S
        lasts(TRAINING_S)
        return Scores(12.5, None, 1, time.perf_counter() - began)


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [Offer("late", Late, "a test")]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer("slow", Slow(), "a test")]
