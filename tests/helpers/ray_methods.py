"""A plugin whose units take steps that are noted, and wait in the middle of them while a gate is closed."""

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

STEPS, STEP = 6, 3


class Stepwise(Condenser[MethodConfig]):
    """Noise, smoothed step by step; every step is saved."""

    def units(self, task: Task) -> Sequence[Unit]:
        return [Unit(f"class-{label}", (label,)) for label in range(task.classes)]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        shape = (task.ipc, task.dataset.channels, task.dataset.resolution, task.dataset.resolution)
        pixels = torch.rand(shape, generator=seeds.generator(task.seed, "steps", unit.name))
        home = task.stages.root.parent
        for step in task.iterations(STEPS, images=task.ipc, state={"pixels": pixels}):
            with (home / "steps.txt").open("a") as steps:
                steps.write(f"{unit.name} {step} {os.getppid()}\n")
            while step == STEP and (home / "gate").exists():
                time.sleep(0.02)
            pixels.copy_((pixels + pixels.roll(1, -1)) / 2)
        return Images((pixels * 255).to(torch.uint8), torch.full((task.ipc,), unit.classes[0]))


class Unseen(Protocol):
    name, labels = "unseen-there", "hard"

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        return Scores(top1=50.0, top5=None, epochs=1, seconds=0.1)


def parent_of(process: int) -> int | None:
    """The process that started another, while that one lives (Linux)."""
    try:
        state, parent, *_ = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None
    return None if state == "Z" else int(parent)


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [Offer("stepwise", Stepwise, "a test")]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer(Unseen.name, Unseen(), "the same score for every set")]
