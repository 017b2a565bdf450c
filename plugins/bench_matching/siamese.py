"""Siamese augmentation of classes: one drawing a class and step, which acts alike on its real and synthetic images.

A drawing is that of `bench.training.augmentation.dsa`: one family, and parameters that hold for the whole batch of the
class.
"""

from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from bench import seeds
from bench.training.augmentation import dsa, layered_dsa
from bench.training.augmentation.dsa import Augmentation


@dataclass(frozen=True)
class Drawings:
    """A drawing for each class.

    Attributes:
        order: all classes, those of one family beside each other: they are augmented together, without a copy.
        augmentations: of the classes in that order; empty for no augmentation.
    """

    order: tuple[int, ...]
    augmentations: tuple[Augmentation, ...]

    def on(self, device: torch.device) -> Tensor:
        """int64 (classes,): the order, on a device; nothing waits for it."""
        return torch.tensor(self.order).to(device, non_blocking=True)

    def apply(self, images: Tensor, start: int = 0) -> Tensor:
        """Each class's images under the class's drawing; differentiable.

        Args:
            images: float (G, n, C, S, S), of the classes order[start : start + G].
        """
        if not self.augmentations:
            return images
        pieces, done, count = [], 0, images.shape[1]
        mine = self.augmentations[start : start + len(images)]
        for family, group in groupby(mine, key=lambda each: each.family):
            values = torch.cat([each.values for each in group])
            batch = images[done : done + len(values)].flatten(0, 1)
            pieces.append(Augmentation(family, values.repeat_interleave(count, 0)).apply(batch))
            done += len(values)
        return torch.cat(pieces).view_as(images)


@dataclass(frozen=True)
class LayeredDrawings(Drawings):
    """Drawings in IDC's reading (`bench.training.augmentation.layered_dsa`): several, one after the other, in one order
    of classes.

    Attributes:
        layers: each a drawing for every class.
    """

    layers: tuple[Drawings, ...] = ()

    def apply(self, images: Tensor, start: int = 0) -> Tensor:
        """As of one drawing."""
        for layer in self.layers:
            images = layer.apply(images, start)
        return images


def draw_layered(strategy: str, classes: int, size: int, seed: int, position: int) -> LayeredDrawings:
    """The same in IDC's reading. See `draw`."""
    drawn = [
        layered_dsa.draw(strategy, 1, size, seeds.counter(seed, position, label), siamese=True).layers
        for label in range(classes)
    ]
    order = tuple(sorted(range(classes), key=lambda label: [layer.family for layer in drawn[label]]))
    layers = zip(*(drawn[label] for label in order), strict=True)
    return LayeredDrawings(order, (), tuple(Drawings(order, layer) for layer in layers))


def draw(strategy: str, classes: int, size: int, seed: int, position: int) -> Drawings:
    """The drawings of a step, for images of `size` pixels a side.

    Args:
        strategy: see `bench.training.recipes.DsaStrategy`.
        seed, position: decide the drawings, for each class apart, by its index among those in use; position is that of
            the step in the run.
    """
    if not strategy:
        return Drawings(tuple(range(classes)), ())
    drawn = {
        label: dsa.draw(strategy, 1, size, seeds.counter(seed, position, label), siamese=True)
        for label in range(classes)
    }
    order = sorted(drawn, key=lambda label: drawn[label].family)
    return Drawings(tuple(order), tuple(drawn[label] for label in order))
