"""A plugin whose method makes noise, one image of each class a unit, in any form that images are kept in."""

from collections.abc import Sequence

import torch

from bench import seeds
from bench.condensation import Condenser, Images, MethodConfig, PixelFormat, Task, Unit
from bench.hookspecs import Offer, hookimpl


class Config(MethodConfig):
    """How images are kept."""

    form: PixelFormat = "uint8"


class Noise(Condenser[Config]):
    Config = Config

    @property
    def pixel_format(self) -> PixelFormat:
        return self.config.form

    def units(self, task: Task) -> Sequence[Unit]:
        return [Unit(f"image-{index}", tuple(range(task.classes)), index) for index in range(task.ipc)]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        dataset = task.dataset
        shape = (task.classes, dataset.channels, dataset.resolution, dataset.resolution)
        noise = torch.rand(shape, generator=seeds.generator(task.seed, unit.name))
        return Images(dataset.normalisation.apply((noise * 255).to(torch.uint8)), torch.tensor(unit.classes))


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [Offer("noise", Noise, "a test")]
