"""Multi-formation in IDC's synthesis: which decoded images a class is matched by, and what its images start from."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from bench import seeds
from bench.condensation import Grid, Task
from bench.drawing import draw


@dataclass(frozen=True)
class Formation:
    """What a class's stored images are decoded into when it is matched.

    Attributes:
        factor: of the set's decoder; 1 where an image is one.
        most: decoded images that are matched at once, drawn from all where there are more.
        bounded: decode only the first images by the whole factor and the rest by smaller ones, so that no more than
            `most` are made (the release's "bound"); training sees all by the whole factor.
    """

    factor: int
    most: int
    bounded: bool = False

    def shares(self, ipc: int) -> list[tuple[int, int]]:
        """By which factor how many of the stored images are decoded, in their order."""
        if not self.bounded:
            return [(self.factor, ipc)]
        return list(self._bounded(ipc))

    def _bounded(self, left: int) -> Iterator[tuple[int, int]]:
        room = self.most
        for factor in range(self.factor, 0, -1):
            count = left if factor == 1 else max(0, min((room - left) // factor**2, left))
            if count:
                yield factor, count
            left, room = left - count, room - count * factor**2

    def count(self, ipc: int) -> int:
        """How many decoded images a class is matched by."""
        return min(self.most, sum(factor**2 * count for factor, count in self.shares(ipc)))

    def decode(self, images: Tensor) -> Tensor:
        """Pixels in [0, 1] (G, ipc, C, S, S) -> all that they decode into, (G, n, C, S, S). Differentiable."""
        shares = self.shares(images.shape[1])
        parts = images.split([count for _, count in shares], dim=1)
        decoded = [_decoded(part, factor) for part, (factor, _) in zip(parts, shares, strict=True)]
        return torch.cat(decoded, dim=1)

    def chosen(self, classes: int, ipc: int, seed: int, position: int) -> Tensor | None:
        """int64 (classes, most): which of a class's decoded images are matched in an update; None for all of them."""
        every = sum(factor**2 * count for factor, count in self.shares(ipc))
        if every <= self.most:
            return None
        drawn = (seeds.counter(seed, position, label).permutation(every)[: self.most] for label in range(classes))
        return torch.stack([torch.from_numpy(each) for each in drawn])


def _decoded(images: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return images
    decoded: Tensor = Grid(factor).decode(images.flatten(0, 1)).unflatten(0, (len(images), -1))
    return decoded


def start(task: Task, factor: int, *, real: bool) -> Tensor:
    """float32 (classes, ipc, C, S, S) of pixels in [0, 1], on the task's device: what synthesis starts from.

    Real images at random, for a factor above 1 shrunk into the cells of a grid (the release's "mix"), or noise: N(0, 1)
    over 4 around 0.5, clamped.

    Raises:
        UsageError: a class has too few training images.
    """
    dataset, seed, cells = task.dataset, task.seed_for("start"), factor**2
    shape = (task.classes, task.ipc, dataset.channels, dataset.resolution, dataset.resolution)
    if not real:
        return (torch.randn(shape, generator=seeds.generator(seed)) / 4 + 0.5).clamp(0, 1).to(task.device)
    drawn = torch.cat([draw(dataset, label, task.ipc * cells, seed) for label in range(task.classes)])
    return of_images(task, drawn, factor)


def of_images(task: Task, indices: Tensor, factor: int) -> Tensor:
    """The same from these training images, class by class, as many as cells."""
    return grids(task.dataset.train.take(indices).float() / 255, task.classes, factor).to(task.device)


def grids(pixels: Tensor, classes: int, factor: int) -> Tensor:
    """(classes * ipc * factor ** 2, C, S, S), class by class -> (classes, ipc, C, S, S).

    Of each class's images the first `ipc` become the first cell of each, and so on, as in the release; they are shrunk
    to their cells by the nearest pixels.
    """
    cells = pixels.unflatten(0, (classes, factor**2, -1)).unbind(1)
    side = pixels.shape[-1]
    sizes = [side // factor + (number < side % factor) for number in range(factor)]
    rows = [
        torch.cat([_shrunk(cells[factor * down + across], sizes[down], sizes[across]) for across in range(factor)], -1)
        for down in range(factor)
    ]
    joined: Tensor = torch.cat(rows, -2)
    return joined


def _shrunk(images: Tensor, height: int, width: int) -> Tensor:
    shrunk: Tensor = F.interpolate(images.flatten(0, 1), size=(height, width)).unflatten(0, images.shape[:2])
    return shrunk
