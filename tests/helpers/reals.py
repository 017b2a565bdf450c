"""The training images of a task, and which of them others are."""

from collections.abc import Iterable

import torch
from torch import Tensor

from bench.condensation import Task


def training_images(task: Task) -> Tensor:
    """All of them as networks see them."""
    train = task.dataset.train
    return task.dataset.normalisation.apply(train.take(torch.arange(len(train))))


def places_of(images: Iterable[Tensor], among: Tensor) -> list[int]:
    """The place of each image among others, which have it once."""
    return [int((among == image).flatten(1).all(1).nonzero()) for image in images]
