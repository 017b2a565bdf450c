"""Real training images drawn uniformly, as many of each class."""

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.drawing import draw
from bench.recipes import Setting


class Random(Condenser[MethodConfig]):
    """Uniform draws without replacement, pixels as they are; another draw for every seed."""

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """DC's, with which the line that tables print was made."""
        return "dc"

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """`task.ipc` images of each class, class by class."""
        chosen = torch.cat([draw(task.dataset, label, task.ipc, task.seed, "random") for label in unit.classes])
        train = task.dataset.train
        return Images(train.take(chosen), train.labels[chosen])
