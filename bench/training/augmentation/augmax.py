"""FRePo's augmentation of students: a family a batch, parameters an image, as DSA, but other families and ranges.

Of the released code (`lib/dataset/augmax`, which changes the JAX library of that name; `get_aug_by_name`), on images as
networks see them: what is moved out of the image leaves its edge repeated, where DSA leaves 0.

    flip       horizontally, every other image
    color      brightness + U(-.25, .25), then contrast and saturation each times exp(U(-.25, .25)) about their means
    crop       zoomed by .8 to 1.25, uniform in its logarithm, about a centre that is drawn
    rotate     by U(-15, 15) degrees
    translate  by U(-1/8, 1/8) of the side, down and across, between pixels too
    cutout     a square of a quarter of the side, wholly inside, of 0
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.training.augmentation import dsa
from bench.training.augmentation.dsa import Apply, Draw

JITTER = 0.25
ZOOM = 0.8, 1.25
ROTATE = 15.0  # degrees
TRANSLATE = 0.125
CUTOUT = 4  # the part of the side that is cut out is one in so many


@dataclass(frozen=True)
class Augmentation(dsa.Augmentation):
    """One drawing of a family of `AUGMAX_FAMILIES`."""

    @property
    def _act(self) -> Apply:
        return _FAMILIES[self.family][1]


def draw(strategy: str, count: int, size: int, rng: np.random.Generator) -> Augmentation:
    """Draws a family and its parameters for `count` images of `size` pixels a side.

    Args:
        strategy: families joined by underscores, e.g. "flip_color_crop_rotate_translate_cutout".
    """
    families = strategy.split("_")
    family = families[int(rng.integers(len(families)))]
    values = _FAMILIES[family][0](rng, count, size)
    return Augmentation(family, torch.from_numpy(values.astype(np.float32)))


def _draw_color(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    brightness, contrast, saturation = rng.uniform(-JITTER, JITTER, (3, count))
    return np.stack([brightness, np.exp(contrast), np.exp(saturation)], axis=1)


def _color(images: Tensor, values: Tensor) -> Tensor:
    brightness, contrast, saturation = values.view(-1, 3, 1, 1, 1).unbind(1)
    images = images + brightness
    images = torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast)
    return torch.lerp(images.mean(1, keepdim=True), images, saturation)


def _draw_crop(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """The zoom, and by how much of the side the centre moves across and down."""
    zoom = np.exp(rng.uniform(math.log(ZOOM[0]), math.log(ZOOM[1]), (count, 1)))
    return np.concatenate([zoom, rng.uniform(-0.5, 0.5, (count, 2)) * np.abs(zoom - 1) / zoom], axis=1)


def _crop(images: Tensor, values: Tensor) -> Tensor:
    zoom, moved = values[:, 0], values[:, 1:]
    return _sampled(images, torch.diag_embed((1 / zoom)[:, None].expand(-1, 2)), moved)


def _rotate(images: Tensor, values: Tensor) -> Tensor:
    cos, sin = values[:, 0].cos(), values[:, 0].sin()
    return _sampled(images, torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2), torch.zeros_like(values))


def _translate(images: Tensor, values: Tensor) -> Tensor:
    return _sampled(images, torch.eye(2, device=values.device).expand(len(values), 2, 2), values)


def _sampled(images: Tensor, linear: Tensor, moved: Tensor) -> Tensor:
    """Where each pixel of the result is looked up: `linear` (B, 2, 2) of its place from the centre, (across, down),
    `moved` by (B, 2) or (B, 1) sides."""
    theta = torch.cat([linear, 2 * moved.expand(-1, 2)[:, :, None]], dim=2).to(images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _draw_cutout(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    return rng.integers(0, size - size // CUTOUT + 1, (count, 2))


def _cutout(images: Tensor, values: Tensor) -> Tensor:
    side, pixels = images.shape[-1] // CUTOUT, torch.arange(images.shape[-1], device=images.device)
    inside = (pixels >= values[:, :, None]) & (pixels < values[:, :, None] + side)
    return images.masked_fill((inside[:, 0, :, None] & inside[:, 1, None, :])[:, None], 0)


def _flip(images: Tensor, values: Tensor) -> Tensor:
    return torch.where(values.view(-1, 1, 1, 1) > 0, images.flip(3), images)


_FAMILIES: dict[str, tuple[Draw, Apply]] = {
    "flip": (lambda rng, count, size: rng.random((count, 1)) < 0.5, _flip),
    "color": (_draw_color, _color),
    "crop": (_draw_crop, _crop),
    "rotate": (lambda rng, count, size: np.radians(rng.uniform(-ROTATE, ROTATE, (count, 1))), _rotate),
    "translate": (lambda rng, count, size: rng.uniform(-TRANSLATE, TRANSLATE, (count, 2)), _translate),
    "cutout": (_draw_cutout, _cutout),
}
