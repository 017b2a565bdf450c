"""A plugin whose method has a stage and a unit for each class, each with a loop of its own, and says who made what."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from bench import seeds
from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl
from bench.sets.condensed import CondensedSet
from bench.storage.shared.stages import Made

STEPS = 20  # of each unit
STEP_S = "KNITTED_STEP_S"  # of the second unit, in the environment: so that it can be killed in its middle


def note(task: Task, what: str) -> None:
    """Of all processes, in order."""
    with (task.stages.root.parent / "made.txt").open("a") as made:
        made.write(f"{what}\n")


class Config(MethodConfig):
    """Which unit fails, if any."""

    fails: str = ""


class Knitted(Condenser[Config]):
    """Noise around the mean image of the training set, drawn nearer to it step by step."""

    Config = Config
    mean: Tensor

    def prepare(self, task: Task) -> None:
        task.facts["prepared"] = True
        self.mean = task.stage("mean", 1, {}, lambda folder: self._average(task, folder)).tensors["mean"]

    def _average(self, task: Task, _: Path) -> Made:
        note(task, "stage")
        return Made({"mean": task.dataset.train.take(torch.arange(64)).float().mean(0)}, {})

    def units(self, task: Task) -> Sequence[Unit]:
        return [Unit(f"class-{label}", (label,)) for label in range(task.classes)]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        if unit.name == self.config.fails:
            raise ValueError("it cannot be knitted")
        note(task, unit.name)
        task.facts[f"maker of {unit.name}"] = os.getpid()
        noise = torch.rand((task.ipc, *self.mean.shape), generator=seeds.generator(task.seed, "knit", unit.name))
        images, pause_s = noise * 255, float(os.environ.get(STEP_S, "0")) if unit.classes[0] == 1 else 0.0
        for _ in task.iterations(STEPS, images=task.ipc, state={"images": images}):
            images += (self.mean - images) / 4
            time.sleep(pause_s)
        return Images(images.to(torch.uint8), torch.full((task.ipc,), unit.classes[0]))


class Unseen(Protocol):
    name, labels = "unseen", "hard"

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        return Scores(top1=50.0, top5=None, epochs=1, seconds=0.1)


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer(Unseen.name, Unseen(), "the same score for every set")]


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [Offer("knitted", Knitted, "a test")]
