"""A plugin of methods that make soft labels: one names no protocol, the other a protocol of hard labels."""

from collections.abc import Sequence

import torch

from bench import seeds
from bench.condensation import Condenser, Images, MethodConfig, PixelFormat, Task, Unit
from bench.drawing import draw
from bench.hookspecs import Offer, hookimpl
from bench.labels import HardLabels, Labels, SoftLabels
from bench.recipes import Setting


class Soft(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        chosen = torch.cat([draw(task.dataset, label, task.ipc, 0) for label in unit.classes])
        classes = task.dataset.train.labels[chosen]
        soft = 0.9 * torch.eye(task.classes)[classes] + 0.1 / task.classes
        return Images(task.dataset.train.take(chosen), classes, soft)

    def label(self, task: Task, images: Images) -> Labels:
        return HardLabels() if images.soft is None else SoftLabels(images.soft)


class Decided(Soft):
    @classmethod
    def protocol(cls, setting: Setting) -> str:
        return "hard"


class Compressed(Soft):
    """Noise, a class a unit, stored as JPEG; each image's label tells its mean."""

    @property
    def pixel_format(self) -> PixelFormat:
        return "jpeg"

    def units(self, task: Task) -> Sequence[Unit]:
        return [Unit(f"class{label}", (label,)) for label in range(task.classes)]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        drawn = seeds.generator("noise", *unit.classes)
        shape = task.ipc, task.dataset.channels, task.dataset.resolution, task.dataset.resolution
        pixels = torch.randint(0, 256, shape, generator=drawn, dtype=torch.uint8)
        return Images(pixels, torch.tensor(unit.classes).repeat(task.ipc))

    def label(self, task: Task, images: Images) -> Labels:
        means = images.pixels.float().mean((1, 2, 3)) / 256
        rest = ((1 - means) / (task.classes - 1))[:, None].repeat(1, task.classes - 1)
        return SoftLabels(torch.cat([means[:, None], rest], 1))


@hookimpl
def bench_methods() -> list[Offer]:
    methods = {"soft-labelled": Soft, "decided": Decided, "compressed": Compressed}
    return [Offer(name, method, "for tests") for name, method in methods.items()]
