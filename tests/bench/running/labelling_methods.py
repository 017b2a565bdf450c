"""A plugin of methods that make soft labels: one names no protocol, the other a protocol of hard labels."""

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
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


@hookimpl
def bench_methods() -> list[Offer]:
    return [Offer("soft-labelled", Soft, "for tests"), Offer("decided", Decided, "for tests")]
