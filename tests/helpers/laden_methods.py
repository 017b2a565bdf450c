"""A plugin whose method has a stage that leaves the process that makes it with much memory, as libraries do."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl
from bench.sets.condensed import CondensedSet
from bench.storage.shared.stages import Made

LOADED: list[bytes] = []  # stands for what is loaded once and cannot be unloaded
SIZE = 300 << 20
LOOP = {"compiled": False, "why": "a test", "seconds": 0.5}  # what the harness would find out of the stage's loop


class Laden(Condenser[MethodConfig]):
    """Grey images, and who made the stage and the images."""

    def prepare(self, task: Task) -> None:
        stage = task.stage("load", 1, {}, lambda folder: self._load(task, folder))
        task.facts["maker of the stage"] = stage.facts["maker"]

    def _load(self, task: Task, _: Path) -> Made:
        LOADED.append(b"." * SIZE)
        task.measured.compiled["load"] = LOOP
        return Made({}, {"maker": os.getpid()})

    def synthesize(self, task: Task, unit: Unit) -> Images:
        task.facts["maker of the images"] = os.getpid()
        classes = torch.arange(task.classes).repeat_interleave(task.ipc)
        return Images(torch.full((len(classes), 1, 8, 8), 128, dtype=torch.uint8), classes)


class Unscored(Protocol):
    name, labels = "unscored", "hard"

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        return Scores(top1=50.0, top5=None, epochs=1, seconds=0.1)


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer(Unscored.name, Unscored(), "the same score for every set")]


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [Offer("laden", Laden, "a test")]
