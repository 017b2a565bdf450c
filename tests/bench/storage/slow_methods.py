"""A plugin whose method takes its time over one of its units, with checkpoints, and a protocol that trains nothing."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from bench import seeds
from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl
from bench.sets.condensed import CondensedSet
from bench.storage.stages import Made

STEP_S = float(os.environ.get("SLOW_STEP_S", "0"))  # of the second unit, so that it can be killed in its middle


class Slow(Condenser[MethodConfig]):
    """Noise that is drawn nearer to a mean, step by step."""

    def prepare(self, task: Task) -> None:
        self.mean = task.stage("mean", 1, {}, lambda folder: self._mean(task, folder)).tensors["mean"]

    def _mean(self, task: Task, _: Path) -> Made:
        return Made({"mean": task.dataset.train.take(torch.arange(64)).float().mean(0)}, {})

    def units(self, task: Task) -> Sequence[Unit]:
        return [Unit(f"class-{label}", (label,)) for label in range(task.classes)]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        images = torch.rand((task.ipc, *self.mean.shape), generator=seeds.generator(task.seed, "slow", unit.name)) * 255
        for _ in task.iterations(100, images=task.ipc, state={"images": images}):
            images += (self.mean - images) / 100
            time.sleep(STEP_S if unit.classes[0] == 1 else 0)
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
    return [Offer("slow", Slow, "a test")]
