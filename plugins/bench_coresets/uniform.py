"""Real training images drawn uniformly, as many of each class."""

import torch
from torch import Tensor

from bench import seeds
from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.errors import UsageError


class Random(Condenser[MethodConfig]):
    """Uniform draws without replacement, pixels as they are; another draw for every seed.

    A class is drawn by its id, so a larger set of the same seed begins with the smaller one's images, and other classes
    in use change nothing.
    """

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """`task.ipc` images of each class, class by class."""
        chosen = torch.cat([_drawn(task, index) for index in unit.classes])
        train = task.dataset.train
        return Images(train.take(chosen), train.labels[chosen])


def _drawn(task: Task, index: int) -> Tensor:
    members = torch.nonzero(task.dataset.train.labels == index).flatten()
    if len(members) < task.ipc:
        name = task.dataset.classes[index]
        raise UsageError(f"class {name!r} has {len(members)} training images, fewer than the {task.ipc} asked for")
    draw = seeds.generator(task.seed, "random", task.dataset.classes[index])
    return members[torch.randperm(len(members), generator=draw)[: task.ipc]]
