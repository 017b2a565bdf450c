"""Real training images drawn at random: the control of every table, and where many methods start."""

import torch
from torch import Tensor

from bench import seeds
from bench.data.datasets import Dataset
from bench.errors import UsageError


def members(dataset: Dataset, label: int, at_least: int = 0) -> Tensor:
    """int64 (n,): where the training images of a class are, in order.

    Raises:
        UsageError: there are fewer than `at_least`.
    """
    found = torch.nonzero(dataset.train.labels == label).flatten()
    if len(found) < at_least:
        name = dataset.classes[label]
        raise UsageError(f"class {name!r} has {len(found)} training images, fewer than the {at_least} asked for")
    return found


def draw(dataset: Dataset, label: int, count: int, *names: str | int) -> Tensor:
    """int64 (count,): training images of a class, drawn uniformly without replacement.

    A class is drawn by its id, so a larger draw under the same names begins with a smaller one's images, and other
    classes in use change nothing.

    Args:
        names: what the draw is seeded with, such as a seed and a word for its purpose.

    Raises:
        UsageError: the class has fewer images.
    """
    found = members(dataset, label, count)
    generator = seeds.generator(*names, dataset.classes[label])
    return found[torch.randperm(len(found), generator=generator)[:count]]
