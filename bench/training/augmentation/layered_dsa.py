"""IDC's reading of DSA's strategy strings: several families at once (Kim et al., ICML 2022, released code).

A flip comes first, then colour, each wherever the string names it; then one of the other families, drawn uniformly; and
cutout last. DSA's own reading, one family of all, is `bench.training.augmentation.dsa`, whose families these are.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from bench.training.augmentation import dsa
from bench.training.augmentation.dsa import Augmentation

BEFORE, AFTER = ("flip", "color"), ("cutout",)  # the one that is drawn


@dataclass(frozen=True)
class Layered:
    """One drawing: families that act one after the other. See `bench.training.augmentation.dsa.Augmentation`."""

    layers: tuple[Augmentation, ...]

    def apply(self, images: Tensor) -> Tensor:
        """The augmented images (B, C, S, S), same shape."""
        for layer in self.layers:
            images = layer.apply(images)
        return images


def draw(strategy: str, count: int, size: int, rng: np.random.Generator, *, siamese: bool = False) -> Layered:
    """Draws families and their parameters for `count` images of `size` pixels a side.

    Args:
        strategy: families joined by underscores, in any order; "" for none.
        siamese: the first image's parameters hold for the whole batch, whatever its size.
    """
    named = strategy.split("_") if strategy else []
    others = [family for family in named if family not in (*BEFORE, *AFTER)]
    drawn = [others[int(rng.integers(len(others)))]] if others else []
    families = [*filter(named.__contains__, BEFORE), *drawn, *filter(named.__contains__, AFTER)]
    return Layered(tuple(dsa.draw(family, count, size, rng, siamese=siamese) for family in families))
