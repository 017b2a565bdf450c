"""How many images of each class a method makes."""

from typing import Any

import torch

from bench.condensation.condenser import Condenser
from bench.condensation.task import Task


def class_sizes(method: Condenser[Any], task: Task) -> list[int]:
    """In class order: the task's `ipc` of each, or of a method that takes all as many as there are."""
    if not method.takes_all:
        return [task.ipc] * task.classes
    sizes: list[int] = torch.bincount(task.dataset.train.labels, minlength=task.classes).tolist()
    return sizes
