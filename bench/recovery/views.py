"""The view of an iteration: one crop, one flip and one roll for the whole batch.

The releases apply RandomResizedCrop and RandomHorizontalFlip to the batch as one tensor, so its images share them; a
crop an image would be another method. Each view is drawn at its own position of a counter-based stream, so a continued
run sees the same views as an unbroken one.

Resizing is bilinear without antialiasing, pinned since the default of torchvision changed: the releases ask for 0.15.1
or newer, whose RandomResizedCrop did not antialias tensors; since 0.17 it does. Nothing hangs on it while a crop is
resized to the resolution it was taken from: antialiasing acts where an image shrinks, and a crop only grows.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from bench import seeds
from bench.recovery.recipes import RecoveryRecipe
from bench.training.augmentation.resampling import weights
from bench.training.views import resized_boxes


@dataclass(frozen=True)
class Box:
    """A crop in pixels. What of it lies outside the image is 0."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class RecoveryView:
    """How an iteration sees the batch: cropped (None: whole), then flipped, then rolled by (down, right) pixels."""

    box: Box | None
    flipped: bool
    roll: tuple[int, int]

    def of(self, images: Tensor) -> Tensor:
        """The view of (B, C, H, W), same shape; differentiable."""
        seen = images if self.box is None else _resized(images, self.box)
        if self.flipped:
            seen = seen.flip(-1)
        return seen.roll(self.roll, dims=(-2, -1)) if any(self.roll) else seen

    def row(self, resolution: int) -> list[int]:
        """The view as seven integers: top, left, height, width, flipped, down, right. See `seen_through`."""
        box = self.box or Box(0, 0, resolution, resolution)
        return [box.top, box.left, box.height, box.width, int(self.flipped), *self.roll]


def draw_view(recipe: RecoveryRecipe, resolution: int, seed: int, iteration: int) -> RecoveryView:
    """The view of one iteration: the same for the same seed and iteration."""
    draws = seeds.counter(seed, iteration)
    box = _draw_box(draws, resolution, recipe, iteration)
    flipped = recipe.flip and bool(draws.random() < 0.5)
    low, high = recipe.roll
    down, right = draws.integers(low, high, size=2, endpoint=True)
    return RecoveryView(box, flipped, (int(down), int(right)))


def smallest_share(recipe: RecoveryRecipe, iteration: int) -> float:
    """The low end of the crop's share of the area at an iteration: CDA's curriculum, from easy to hard.

    With (low, high) the recipe's `crop_scale` and n' = milestone * iterations it is, at an iteration t below n',

        cosine  low + (high - low) (1 + cos(pi t / n')) / 2
        linear  low + (high - low) (1 - t / n')
        step    high

    and `low` from there on (Yin and Shen, TMLR 2024, and their code, where low is 0.08 and high 1).
    """
    (low, high), length = recipe.crop_scale, recipe.milestone * recipe.iterations
    if recipe.curriculum == "none" or iteration >= length:
        return low
    match recipe.curriculum:
        case "cosine":
            left = (1 + math.cos(math.pi * iteration / length)) / 2
        case "linear":
            left = 1 - iteration / length
        case "step":
            left = 1.0
    return low + (high - low) * left


def seen_through(images: Tensor, rows: Tensor) -> Tensor:
    """Each group of images through its own view, as two matrix products a group: one graph for every view.

    Cropping, resizing, flipping and rolling all act on rows and columns apart, and all are linear, so a view is
    R X C^T with matrices of the image's size. Equals `RecoveryView.of` up to rounding; differentiable in the images.

    Args:
        images: float (G, B, C, S, S).
        rows: int64 (G, 7), one `RecoveryView.row` a group.
    """
    size = images.shape[-1]
    top, left, height, width, flipped, down, right = rows.unbind(1)
    pixels = torch.arange(size, device=rows.device)
    source_rows = (pixels - down[:, None]) % size
    source_columns = (pixels - right[:, None]) % size
    source_columns = torch.where(flipped[:, None] > 0, size - 1 - source_columns, source_columns)
    down_weights = weights(top, height, size, source_rows)
    right_weights = weights(left, width, size, source_columns)
    return down_weights[:, None, None] @ images @ right_weights.mT[:, None, None]


def _draw_box(draws: np.random.Generator, resolution: int, recipe: RecoveryRecipe, iteration: int) -> Box | None:
    if recipe.crop == "none":
        return None
    if recipe.padding is not None:
        top, left = draws.integers(-recipe.padding, recipe.padding, size=2, endpoint=True).tolist()
        return Box(top, left, resolution, resolution)
    scale = (smallest_share(recipe, iteration), recipe.crop_scale[1])
    boxes = resized_boxes(draws, 1, resolution, scale, recipe.crop_ratio)
    return Box(*boxes[0].tolist())


def _resized(images: Tensor, box: Box) -> Tensor:
    size = images.shape[-1]
    outside = max(-box.top, -box.left, box.top + box.height - size, box.left + box.width - size, 0)
    top, left = box.top + outside, box.left + outside
    cropped = pad(images, [outside] * 4)[..., top : top + box.height, left : left + box.width]
    return interpolate(cropped, size=(size, size), mode="bilinear", align_corners=False, antialias=False)
