"""The view of an iteration: one crop, one flip and one roll for the whole batch (METHODS trap 6).

The releases apply RandomResizedCrop and RandomHorizontalFlip to the batch as one tensor, so its images share them; a
crop an image would be another method. Each view is drawn at its own position of a counter-based stream, so a continued
run sees the same views as an unbroken one.

Resizing is bilinear without antialiasing, pinned since the default of torchvision changed: the releases ask for 0.15.1
or newer, whose RandomResizedCrop did not antialias tensors; since 0.17 it does. Nothing hangs on it while a crop is
resized to the resolution it was taken from: antialiasing acts where an image shrinks, and a crop only grows.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn.functional import interpolate

from bench import seeds
from bench.recovery.recipes import RecoveryRecipe
from bench.training.views import resized_boxes


@dataclass(frozen=True)
class Box:
    """A crop in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class View:
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


def draw_view(recipe: RecoveryRecipe, resolution: int, seed: int, iteration: int) -> View:
    """The view of one iteration: the same for the same seed and iteration."""
    draws = seeds.counter(seed, iteration)
    box = _draw_box(draws, resolution, recipe) if recipe.crop == "resized" else None
    flipped = recipe.flip and bool(draws.random() < 0.5)
    low, high = recipe.roll
    down, right = draws.integers(low, high, size=2, endpoint=True)
    return View(box, flipped, (int(down), int(right)))


def _draw_box(draws: np.random.Generator, resolution: int, recipe: RecoveryRecipe) -> Box:
    boxes = resized_boxes(draws, 1, resolution, recipe.crop_scale, recipe.crop_ratio)
    return Box(*boxes[0].tolist())


def _resized(images: Tensor, box: Box) -> Tensor:
    cropped = images[..., box.top : box.top + box.height, box.left : box.left + box.width]
    return interpolate(cropped, size=images.shape[-2:], mode="bilinear", align_corners=False, antialias=False)
