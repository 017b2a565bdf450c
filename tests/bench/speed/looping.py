"""A plugin of methods for the tests of `bench speed`, and a table that names one nobody has installed."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import ClassVar, Literal

import torch
from pydantic import Field

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.errors import RunFailure
from bench.hookspecs import Offer, hookimpl


class LoopingConfig(MethodConfig):
    steps: int = Field(default=1000, ge=1)
    batch: int = Field(default=6, ge=1)
    way: Literal["quick", "reference"] = "quick"


class Looping(Condenser[LoopingConfig]):
    """Adds a little to gray images of as many classes as a batch holds; trains for ever first, if it is let."""

    Config: ClassVar[type[MethodConfig]] = LoopingConfig
    knobs: ClassVar[Mapping[str, str]] = {"batch_size": "batch", "engine": "way"}

    def prepare(self, task: Task) -> None:
        for _ in task.pace.walk("training", 0, 10**9):
            pass

    def units(self, task: Task) -> Sequence[Unit]:
        chunks = torch.arange(task.classes).split(self.config.batch)
        return [Unit(f"{chunk[0]}", tuple(chunk.tolist())) for chunk in chunks]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        dataset, count = task.dataset, len(unit.classes) * task.ipc
        images = torch.zeros(count, dataset.channels, dataset.resolution, dataset.resolution)
        for _ in task.iterations(self.config.steps, images=count, state={"images": images}):
            images += 1e-5
        return Images(images, torch.tensor(unit.classes).repeat_interleave(task.ipc))


class Dying(Looping):
    """Ends its process without a word."""

    knobs: ClassVar[Mapping[str, str]] = {}

    def synthesize(self, task: Task, unit: Unit) -> Images:
        os._exit(7)


class Hanging(Looping):
    """Makes no step, for ever."""

    knobs: ClassVar[Mapping[str, str]] = {}

    def synthesize(self, task: Task, unit: Unit) -> Images:
        time.sleep(10**6)
        raise AssertionError("unreachable")


class Faulting(Looping):
    """Fails, and says how many pages the kernel gave to large tensors that others of the size had left behind."""

    knobs: ClassVar[Mapping[str, str]] = {}

    def synthesize(self, task: Task, unit: Unit) -> Images:
        for step in range(28):
            if step == 24:  # holes of the right size are found after a few
                before = getrusage(RUSAGE_SELF).ru_minflt
            torch.ones(2**24)
        raise RunFailure(f"{getrusage(RUSAGE_SELF).ru_minflt - before} pages")


class Telling(Looping):
    """Fails, and says whether products of fp32 numbers would be rounded to TF32, were there a GPU."""

    knobs: ClassVar[Mapping[str, str]] = {}

    def synthesize(self, task: Task, unit: Unit) -> Images:
        rounded = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        raise RunFailure(f"rounded: {rounded}")


class Infinite(Looping):
    """Divides by zero."""

    def synthesize(self, task: Task, unit: Unit) -> Images:
        images = super().synthesize(task, unit)
        return Images(images.pixels / 0, images.classes)


@hookimpl
def bench_methods() -> list[Offer]:
    return [
        Offer("looping", Looping, "for tests"),
        Offer("dying", Dying, "for tests"),
        Offer("hanging", Hanging, "for tests"),
        Offer("faulting", Faulting, "for tests"),
        Offer("infinite", Infinite, "for tests"),
        Offer("telling", Telling, "for tests"),
    ]


@hookimpl
def bench_speed_tables() -> list[Offer]:
    return [Offer("tiny-table", Path(__file__).with_name("tiny-table.toml"), "for tests")]
