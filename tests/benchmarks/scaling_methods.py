"""A plugin for `scaling`: a method of a thousand units that sleep, or compute, for about as long as they are told."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.hookspecs import Offer, hookimpl
from bench.recipes import Setting

STEP = 512  # the side of the matrices that are multiplied


class Config(MethodConfig):
    """What a unit does: seconds of sleep, and products of matrices."""

    sleep: float = 0.0
    products: int = 0
    makers: str = ""


class Waiting(Condenser[Config]):
    """Gray images. Each process leaves its number in the folder `makers` when it begins its second unit."""

    Config = Config
    begun = 0

    def real_images(self, setting: Setting) -> int:
        return 0

    def units(self, task: Task) -> Sequence[Unit]:
        return [Unit(f"{index}-{label}", (label,), index) for index in range(task.ipc) for label in range(task.classes)]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        self.begun += 1
        if self.begun == 2:
            (Path(self.config.makers) / str(os.getpid())).touch()
        task.facts["maker"] = os.getpid()
        time.sleep(self.config.sleep)
        matrix = torch.eye(STEP)
        for _ in range(self.config.products):
            matrix = matrix @ matrix
        return Images(torch.full((1, 1, 8, 8), 128, dtype=torch.uint8), torch.tensor(unit.classes))


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [Offer("waiting", Waiting, "units that sleep or multiply")]
