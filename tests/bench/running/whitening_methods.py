"""A plugin with a method that works on whitened images and makes soft labels, in several units."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from bench.condensation import Condenser, Images, MethodConfig, PixelFormat, Task, Unit
from bench.data.datasets import Preprocessing
from bench.drawing import draw
from bench.hookspecs import Offer, hookimpl
from bench.labels import HardLabels, Labels, SoftLabels
from bench.recipes import Recipe, Setting
from bench.whitening import check_whitening, fit


class WhitenedConfig(MethodConfig):
    zca: bool = True


class Whitened(Condenser[WhitenedConfig]):
    """Whitened real images, scaled a little; image i of a class is sure of it by 0.9 - 0.1 i."""

    Config: ClassVar[type[MethodConfig]] = WhitenedConfig

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        return Recipe("a test", "a test", {"zca": setting.resolution <= 64})

    @property
    def pixel_format(self) -> PixelFormat:
        return "float32"

    def check(self, setting: Setting) -> None:
        if self.config.zca:
            check_whitening(setting)

    def prepare(self, task: Task) -> Task | None:
        self._seen: Preprocessing = fit(task) if self.config.zca else task.dataset.normalisation
        return None

    def preprocessing(self, task: Task) -> Preprocessing:
        return self._seen

    def units(self, task: Task) -> Sequence[Unit]:
        return [Unit(f"image{index}", tuple(range(task.classes)), index) for index in range(task.ipc)]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        seed = task.seed_for("whitened")
        chosen = torch.cat([draw(task.dataset, label, unit.index + 1, seed)[-1:] for label in unit.classes])
        pixels = 1.1 * self._seen.apply(task.dataset.train.take(chosen))
        labels = torch.tensor(unit.classes)
        return Images(pixels, labels, sure(labels, task.classes, 0.9 - 0.1 * unit.index))

    def label(self, task: Task, images: Images) -> Labels:
        return HardLabels() if images.soft is None else SoftLabels(images.soft)


class Seeing(Whitened):
    """The same images, by a method that keeps no whitening: it works in a task that is seen through it."""

    def prepare(self, task: Task) -> Task:
        return task.seen_through(fit(task)) if self.config.zca else task

    def preprocessing(self, task: Task) -> Preprocessing:
        return Condenser.preprocessing(self, task)

    def synthesize(self, task: Task, unit: Unit) -> Images:
        self._seen = task.dataset.normalisation
        return super().synthesize(task, unit)


class NoDistribution(Whitened):
    """Its soft labels do not sum to 1."""

    def synthesize(self, task: Task, unit: Unit) -> Images:
        made = super().synthesize(task, unit)
        assert made.soft is not None
        return Images(made.pixels, made.classes, 2 * made.soft)


def sure(labels: Tensor, classes: int, share: float) -> Tensor:
    """So much for each label's class, the rest evenly for the others."""
    rest = (1 - share) / (classes - 1)
    return rest + (share - rest) * torch.nn.functional.one_hot(labels, classes).float()


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [
        Offer("whitened", Whitened, "a test"),
        Offer("seeing", Seeing, "a test"),
        Offer("no-distribution", NoDistribution, "a test"),
    ]
