"""A plugin of methods that learn a step size with their images, and of a protocol with a teacher of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from bench.condensation import Condenser, Images, MethodConfig, PixelFormat, Task, Unit
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl
from bench.sets.condensed import CondensedSet
from bench.training.recipes import TrainingRecipe
from bench.training.teachers import squeeze

LEARNED = 0.1 + 0.2  # no short decimal: kept to the last bit


@dataclass(frozen=True)
class Painted(Unit):
    """A unit that says how bright its images are."""

    level: int = 0


class Learning(Condenser[MethodConfig]):
    """Gray images, one of each class a unit, and a step size."""

    def units(self, task: Task) -> Sequence[Painted]:
        return [Painted(f"level{level}", tuple(range(task.classes)), level=10 * level) for level in range(task.ipc)]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        assert isinstance(unit, Painted)
        shape = (task.classes, task.dataset.channels, task.dataset.resolution, task.dataset.resolution)
        pixels = torch.full(shape, unit.level, dtype=torch.uint8)
        return Images(pixels, torch.tensor(unit.classes), learned_lr=self.learned(unit))

    def learned(self, unit: Painted) -> float | None:
        return LEARNED


class LearningOfOld(Learning):
    """As methods were written before: the step size is noted, and a member says it."""

    def synthesize(self, task: Task, unit: Unit) -> Images:
        task.facts["learned_lr"] = LEARNED
        return super().synthesize(task, unit)

    def learned(self, unit: Painted) -> float | None:
        return None

    def learned_lr(self, task: Task) -> float | None:
        found: float = task.facts["learned_lr"]
        return found


class Divided(Learning):
    """Every unit learns another step size."""

    def learned(self, unit: Painted) -> float | None:
        return 0.5 + unit.level


class Mixed(Learning):
    """The first unit's images are levels, those of the others normalised."""

    @property
    def pixel_format(self) -> PixelFormat:
        return "float32"

    def synthesize(self, task: Task, unit: Unit) -> Images:
        images = super().synthesize(task, unit)
        return images if images.pixels.max() == 0 else replace(images, pixels=images.pixels / 255)


class OldTeacher(Protocol):
    """Takes a teacher, and does not say in its scores how good that is."""

    name = "old-teacher"
    labels = "teacher"

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        squeeze(task, TrainingRecipe(epochs=1, batch_size=64, lr=0.01, weight_decay=0.0), seed=1)
        return Scores(top1=50.0, top5=None, epochs=1, seconds=0.1)


@hookimpl
def bench_methods() -> Sequence[Offer]:
    methods = {"learning": Learning, "learning-of-old": LearningOfOld, "divided": Divided, "mixed": Mixed}
    return [Offer(name, method, "a test") for name, method in methods.items()]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer(OldTeacher.name, OldTeacher(), "a test")]
