"""Real images for matching: class-balanced batches of them, and what synthetic images start from."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from bench import seeds
from bench.condensation import Images, Task
from bench.drawing import draw, members
from bench.errors import RunFailure
from bench.training.feeding import Feed

Init = Literal["real", "noise"]
PIXELS = 2**22  # of the images that go through a network at once; more take memory and save no time


class Reals:
    """Batches of real training images, the same number of each class.

    They are drawn without repetition, by position, so that a continued run draws what an unbroken one does. On a GPU
    the uint8 images lie there where they fit (`bench.training.feeding.Feed`).

    Attributes:
        feed: all training images.
        members: of each class, where its images are among them.

    Raises:
        RunFailure: a class has no training image.
    """

    def __init__(self, task: Task) -> None:
        dataset = task.dataset
        self.feed = Feed.of(task)
        self.members = [members(dataset, label) for label in range(task.classes)]
        self._smallest = min(map(len, self.members))
        if not self._smallest:
            raise RunFailure("a class has no training images, so there is nothing to match")

    def batch_size(self, count: int) -> int:
        """How many images of a class a batch of `count` has: no more than the smallest class."""
        return min(count, self._smallest)

    def batch(self, classes: Sequence[int], count: int, seed: int, position: int) -> Tensor:
        """float32 (len(classes), batch_size(count), C, S, S) in normalised space, on the task's device.

        Args:
            seed, position: decide the draw, for each class apart, by its index among those in use; position is that of
                the batch in the run.
        """
        count = self.batch_size(count)
        drawn = [self._draw(label, count, seed, position) for label in classes]
        images: Tensor = self.feed.images(torch.cat(drawn)).unflatten(0, (len(classes), count))
        return images

    def _draw(self, label: int, count: int, seed: int, position: int) -> Tensor:
        found = self.members[label]
        chosen = seeds.counter(seed, position, label).choice(len(found), count, replace=False)
        return found[torch.from_numpy(chosen)]


def classes_together(classes: int, most: int) -> int:
    """How many to take at once: a divisor, since each size of a part is compiled anew; at most `most`, at least 1."""
    return max((size for size in range(1, classes + 1) if classes % size == 0 and size <= most), default=1)


def start(task: Task, init: Init) -> Tensor:
    """float32 (classes, ipc, C, S, S) in normalised space, on the task's device: what synthesis starts from.

    Args:
        init: "real" (training images of each class, at random) or "noise" (every value from N(0, 1)).

    Raises:
        UsageError: a class has fewer than ipc training images to start from.
    """
    dataset, seed = task.dataset, task.seed_for("start")
    if init == "noise":
        shape = (task.classes, task.ipc, dataset.channels, dataset.resolution, dataset.resolution)
        return torch.randn(shape, generator=seeds.generator(seed)).to(task.device)
    drawn = torch.cat([draw(dataset, label, task.ipc, seed) for label in range(task.classes)])
    pixels: Tensor = dataset.normalisation.apply(dataset.train.take(drawn)).unflatten(0, (task.classes, task.ipc))
    return pixels.to(task.device)


def normalised(task: Task, images: Images) -> Tensor:
    """Stored images as the task's networks see them: float32 (N, C, S, S), on the task's device."""
    pixels = images.pixels.to(task.device)
    return pixels if pixels.is_floating_point() else task.dataset.normalisation.apply(pixels)
