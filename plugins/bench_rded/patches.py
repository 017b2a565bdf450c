"""Patches of real images: how they are shown to an observer, chosen and tiled."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

TRIES = 10  # of torchvision's RandomResizedCrop, before it takes the central square


def square_boxes(rng: np.random.Generator, count: int, height: int, width: int, scale: tuple[float, float]) -> Tensor:
    """Random squares in an image of any shape, by torchvision's rule: int64 (count, 4), top, left, height, width.

    The area is uniform in `scale` of the image's; the first of ten tries that fits is taken, and if none does the
    largest central square.
    """
    most = min(height, width)
    sides = np.rint(np.sqrt(height * width * rng.uniform(*scale, (count, TRIES))))
    fits = (sides > 0) & (sides <= most)
    found = fits.any(1)
    side = np.where(found, sides[np.arange(count), fits.argmax(1)], most).astype(np.int64)
    top = np.where(found, rng.integers(0, height - side + 1), (height - side) // 2)
    left = np.where(found, rng.integers(0, width - side + 1), (width - side) // 2)
    return torch.from_numpy(np.stack([top, left, side, side], axis=1))


def centred(patches: Tensor, size: int) -> Tensor:
    """(N, C, s, s) patches in normalised space in the middle of (N, C, size, size) of the mean colour, which is 0."""
    before = (size - patches.shape[-1]) // 2
    after = size - patches.shape[-1] - before
    return F.pad(patches, (before, after, before, after))


def easiest(losses: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The crops of least loss, at most one of each image.

    Args:
        losses: (N, K), of K crops of N images.
        count: at most N.

    Returns:
        int64 (count,) each: which images, the one of least loss first, and which crop of each.
    """
    least, crops = losses.min(1)
    images = least.argsort(stable=True)[:count]
    return images, crops[images]


def tiled(patches: Tensor, factor: int) -> Tensor:
    """(n * factor**2, C, s, s) patches as (n, C, factor * s, factor * s) images.

    The first n patches become the top left tiles of all images, the next n the tiles to their right, row by row.
    """
    channels, side = patches.shape[1], patches.shape[2]
    grid = patches.reshape(factor, factor, -1, channels, side, side)
    return grid.permute(2, 3, 0, 4, 1, 5).reshape(-1, channels, factor * side, factor * side)
