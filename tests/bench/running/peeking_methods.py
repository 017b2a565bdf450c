"""A plugin of methods that take images they must not, or call them by other classes; and of one that does neither."""

from collections.abc import Sequence

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.data.datasets import Split
from bench.hookspecs import Offer, hookimpl


def _first(split: Split, task: Task) -> Images:
    places = [torch.nonzero(split.labels == label).flatten()[: task.ipc] for label in range(task.classes)]
    return Images(split.take(torch.cat(places)), torch.arange(task.classes).repeat_interleave(task.ipc))


class Honest(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        return _first(task.dataset.train, task)


class Peeking(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        task.facts["doubt"] = "its author doubts it too"
        return _first(task.dataset.test, task)


class Shifted(Condenser[MethodConfig]):
    def synthesize(self, task: Task, unit: Unit) -> Images:
        taken = _first(task.dataset.train, task)
        return Images(taken.pixels, (taken.classes + 1) % task.classes)


@hookimpl
def bench_methods() -> Sequence[Offer]:
    offered = {"honest": Honest, "peeking": Peeking, "shifted": Shifted}
    return [Offer(name, target, "takes real images") for name, target in offered.items()]
