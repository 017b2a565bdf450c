"""A plugin of methods, and of a protocol for their labels, that note the arithmetic in which each part computes."""

from collections.abc import Sequence
from typing import ClassVar

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.drawing import draw
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl
from bench.labels import HardLabels, Labels
from bench.recipes import Setting
from bench.sets.condensed import CondensedSet
from bench.storage.shared.stages import Made


class Fast(Condenser[MethodConfig]):
    """The first real images of a class."""

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        return "listening"

    def prepare(self, task: Task) -> None:
        self.prepare_labels(task)
        task.facts["prepared_in"] = task.precision

    def prepare_labels(self, task: Task) -> None:
        task.stage("listening", 1, {}, lambda folder: Made({}, {}))

    def synthesize(self, task: Task, unit: Unit) -> Images:
        task.facts["made_in"] = task.precision
        (label,) = unit.classes
        chosen = draw(task.dataset, label, task.ipc, task.seed)
        return Images(task.dataset.train.take(chosen), task.dataset.train.labels[chosen])

    def units(self, task: Task) -> Sequence[Unit]:
        return [Unit(f"class{label}", (label,)) for label in range(task.classes)]

    def label(self, task: Task, images: Images) -> Labels:
        task.facts["labelled_in"] = task.precision
        return HardLabels()


class Plain(Fast):
    """The same, of a kind that bf16 would change."""

    plain_arithmetic: ClassVar[bool] = True


class Listening(Protocol):
    name, labels = "listening", "own"

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        task.facts["evaluated_in"] = task.precision
        return Scores(50.0, None, 1, 0.0)


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [Offer("fast", Fast, "a test"), Offer("plain", Plain, "a test")]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer("listening", Listening(), "a test")]
