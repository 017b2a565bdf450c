"""Differentiable siamese augmentation (Zhao and Bilen, ICML 2021), mode S: one family drawn per call.

Acts on normalised images; blank areas are 0, the mean colour. Ranges are those of the released code. Drawing and
applying are apart, so that one drawing can act on a real and a synthetic batch alike; everything is differentiable.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.training.augmentation.resampling import resample

BRIGHTNESS = 1.0  # x + U(-.5, .5)
SATURATION = 2.0  # U(0, 2)
CONTRAST = 0.5  # U(.5, 1.5)
CROP = 0.125
CUTOUT = 0.5
SCALE = 1.2
ROTATE = 15.0  # degrees


@dataclass(frozen=True)
class Augmentation:
    """One drawing.

    Attributes:
        family: a name of `DSA_FAMILIES`.
        values: float32 (B, k), the family's parameters of each image, or (1, k) shared by the whole batch (siamese).
    """

    family: str
    values: Tensor

    def apply(self, images: Tensor) -> Tensor:
        """The augmented images (B, C, S, S), same shape."""
        values = self.values.to(images.device, images.dtype, non_blocking=True).expand(len(images), -1)
        return self._act(images, values)

    @property
    def _act(self) -> "Apply":
        return _FAMILIES[self.family][1]


def draw(strategy: str, count: int, size: int, rng: np.random.Generator, *, siamese: bool = False) -> Augmentation:
    """Draws a family and its parameters for `count` images of `size` pixels a side.

    Args:
        strategy: families joined by underscores, e.g. "color_crop_cutout_flip_scale_rotate".
        siamese: the first image's parameters hold for the whole batch, whatever its size.
    """
    families = strategy.split("_")
    family = families[int(rng.integers(len(families)))]
    drawn, _ = _FAMILIES[family]
    values = torch.from_numpy(drawn(rng, count, size).astype(np.float32))
    return Augmentation(family, values[:1] if siamese else values)


def _draw_color(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    brightness = (rng.random(count) - 0.5) * BRIGHTNESS
    return np.stack([brightness, rng.random(count) * SATURATION, rng.random(count) + CONTRAST], axis=1)


def _draw_crop(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    reach = int(size * CROP + 0.5)
    return rng.integers(-reach, reach + 1, (count, 2))


def _draw_cutout(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    side = _cutout_side(size)
    return rng.integers(0, size + (1 - side % 2), (count, 2))


def _cutout_side(size: int) -> int:
    return int(size * CUTOUT + 0.5)


def _color(images: Tensor, values: Tensor) -> Tensor:
    brightness, saturation, contrast = values.view(-1, 3, 1, 1, 1).unbind(1)
    images = images + brightness
    images = torch.lerp(images.mean(1, keepdim=True), images, saturation)
    return torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast)


def _crop(images: Tensor, values: Tensor) -> Tensor:
    return resample(images, torch.cat([values, torch.full_like(values, images.shape[-1])], dim=1))


def _cutout(images: Tensor, values: Tensor) -> Tensor:
    side = _cutout_side(images.shape[-1])
    pixels = torch.arange(images.shape[-1], device=images.device)
    first = (values - side // 2)[:, :, None]
    inside = (pixels >= first) & (pixels < first + side)
    square = inside[:, 0, :, None] & inside[:, 1, None, :]
    return images.masked_fill(square[:, None], 0)


def _flip(images: Tensor, values: Tensor) -> Tensor:
    return torch.where(values.view(-1, 1, 1, 1) > 0, images.flip(3), images)


def _scale(images: Tensor, values: Tensor) -> Tensor:
    return _affine(images, torch.diag_embed(values))


def _rotate(images: Tensor, values: Tensor) -> Tensor:
    cos, sin = values[:, 0].cos(), values[:, 0].sin()
    return _affine(images, torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2))


def _affine(images: Tensor, linear: Tensor) -> Tensor:
    theta = F.pad(linear, (0, 1)).to(images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


Draw = Callable[[np.random.Generator, int, int], np.ndarray]  # of so many images of so many pixels a side
Apply = Callable[[Tensor, Tensor], Tensor]
_FAMILIES: dict[str, tuple[Draw, Apply]] = {
    "color": (_draw_color, _color),
    "crop": (_draw_crop, _crop),
    "cutout": (_draw_cutout, _cutout),
    "flip": (lambda rng, count, size: rng.random((count, 1)) < 0.5, _flip),
    "scale": (lambda rng, count, size: rng.uniform(1 / SCALE, SCALE, (count, 2)), _scale),
    "rotate": (lambda rng, count, size: np.radians(rng.uniform(-ROTATE, ROTATE, (count, 1))), _rotate),
}
