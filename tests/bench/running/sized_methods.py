"""A plugin of a method whose paper has its own number of images per class."""

from collections.abc import Sequence

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.hookspecs import Offer, hookimpl
from bench.recipes import Recipe, Setting


class OfAPaper(Condenser[MethodConfig]):
    """Gray images, of which the paper has seven a class."""

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        return Recipe(name="small", source="a paper", values={}, ipc=7)

    def synthesize(self, task: Task, unit: Unit) -> Images:
        each = torch.arange(task.classes).repeat_interleave(task.ipc)
        return Images(torch.full((len(each), 1, 8, 8), 128, dtype=torch.uint8), each)


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [Offer("of-a-paper", OfAPaper, "a test")]
