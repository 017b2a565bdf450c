"""RandAugment (Cubuk et al., NeurIPS 2020) as DeiT trains with it: timm's policy "rand-m9-mstd0.5-inc1" at magnitude 9.

Torchvision's policy is `bench.training.augmentation.plain_randaugment`.

An image goes through two layers. In each it takes one of fifteen operations with p = 0.5; an operation's strength grows
with its level, which is drawn from N(magnitude, 0.5) and clamped to 0..10; where it can go both ways a coin says which.
timm's code draws that for PIL images one by one. Here it acts on batches, through torchvision's operations on uint8,
and differs from timm's so:

- An operation's level is drawn for a batch and layer, not for an image, so that the images that share it are one call.
- Turned and shifted images are resampled bilinearly; PIL, as DeiT calls it, does so bicubically.

What a turned image leaves free is filled with the mean colour, as in timm.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import atan, degrees
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from bench.data.datasets import Preprocessing

LAYERS = 2
PROBABILITY = 0.5  # that an image takes a layer's operation
SPREAD = 0.5  # of the levels
HIGHEST = 10  # level

Fill = list[float]
Operation = Callable[[Tensor, float, Fill], Tensor]


@dataclass(frozen=True)
class Policy:
    """What is drawn from, and how it is applied.

    Attributes:
        operations: by name.
        mean_colour: what a moved image leaves free is filled with the mean colour, or else with black.
        before_crop: images are changed before they are cropped and flipped.
    """

    operations: Mapping[str, Operation]
    mean_colour: bool
    before_crop: bool


@dataclass(frozen=True)
class DrawnOperation:
    """One layer's draws.

    Attributes:
        chosen: int64 (B,), each image's operation by its place in the policy's, or -1 for none.
        reversed: bool (B,), whether it goes the other way, where it has one.
        strengths: (operations,), each operation's level over the highest, in 0..1.
    """

    chosen: Tensor
    reversed: Tensor
    strengths: tuple[float, ...]

    def apply(self, images: Tensor, fill: Fill, operations: Mapping[str, Operation]) -> Tensor:
        """uint8 (B, C, S, S) of one or three channels -> the same."""
        images = images.clone()
        for number, operation in enumerate(operations.values()):
            for away in (False, True):
                indices = torch.nonzero((self.chosen == number) & (self.reversed == away)).flatten()
                if len(indices):
                    taken = indices.to(images.device, non_blocking=True)
                    strength = -self.strengths[number] if away else self.strengths[number]
                    images[taken] = operation(images[taken], strength, fill)
        return images


@dataclass(frozen=True)
class RandAugment:
    """One drawing for a batch."""

    layers: tuple[DrawnOperation, ...]
    policy: Policy

    def apply(self, images: Tensor, preprocessing: Preprocessing) -> Tensor:
        """Augmented images (B, C, S, S) as networks see them, of one or three channels; rounded to whole pixels."""
        pixels = (preprocessing.invert(images) * 255).round().clamp(0, 255).to(torch.uint8)
        fill = _mean_colour(preprocessing, images.shape[1:]) if self.policy.mean_colour else [0.0] * images.shape[1]
        with _Sent():
            for layer in self.layers:
                pixels = layer.apply(pixels, fill, self.policy.operations)
        return preprocessing.apply(pixels)


class _Sent(TorchFunctionMode):
    """Within it `torch.tensor` sends what it makes to its device, rather than have the host wait until it is there.

    So torchvision's matrices, kernels and fills stay its own, to the bit.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        named = dict(kwargs or {})
        if func is not torch.tensor:
            return func(*args, **named)
        device = named.pop("device", None)
        return func(*args, **named).to(device, non_blocking=True)


def draw(magnitude: int, count: int, rng: np.random.Generator) -> RandAugment:
    """Draws for `count` images at a magnitude of 1..10."""
    return RandAugment(tuple(_drawn(magnitude, count, rng) for _ in range(LAYERS)), TIMM)


def _drawn(magnitude: int, count: int, rng: np.random.Generator) -> DrawnOperation:
    chosen = np.where(rng.random(count) < PROBABILITY, rng.integers(len(OPERATIONS), size=count), -1)
    away = rng.random(count) < 0.5
    levels = rng.normal(magnitude, SPREAD, len(OPERATIONS)).clip(0, HIGHEST)
    return DrawnOperation(torch.from_numpy(chosen), torch.from_numpy(away), tuple((levels / HIGHEST).tolist()))


def _mean_colour(preprocessing: Preprocessing, shape: torch.Size) -> Fill:
    """What networks see as 0, in levels of 255, a value a channel. Computed on the CPU: reading it must not wait."""
    colour = preprocessing.invert(torch.zeros(shape)).mean((1, 2)) * 255
    return [float(round(value)) for value in colour.clamp(0, 255).tolist()]


def rotated(
    images: Tensor, strength: float, fill: Fill, mode: InterpolationMode = InterpolationMode.BILINEAR
) -> Tensor:
    """By up to 30 degrees."""
    turned: Tensor = tv.rotate(images, 30 * strength, mode, fill=fill)
    return turned


def affine(
    images: Tensor,
    fill: Fill,
    *,
    shift: tuple[float, float] = (0, 0),
    shear: tuple[float, float] = (0, 0),
    mode: InterpolationMode = InterpolationMode.BILINEAR,
) -> Tensor:
    """Shears about the upper left corner, as PIL does; `shear` in pixels a pixel, `shift` in pixels."""
    angles = [degrees(atan(each)) for each in shear]
    moved: Tensor = tv.affine(images, 0.0, list(shift), 1.0, angles, mode, fill=fill, center=[0, 0])
    return moved


def _solarize(images: Tensor, strength: float, fill: Fill) -> Tensor:
    threshold = 256 - int(256 * abs(strength))  # 256 is no uint8: a comparison with it would be one with 0
    return torch.where(images.int() < threshold, images, 255 - images)


def _factor(strength: float) -> float:
    return max(0.1, 1 + 0.9 * strength)


OPERATIONS: dict[str, Operation] = {
    "autocontrast": lambda images, strength, fill: tv.autocontrast(images),
    "equalize": lambda images, strength, fill: tv.equalize(images),
    "invert": lambda images, strength, fill: tv.invert(images),
    "rotate": rotated,
    "posterize": lambda images, strength, fill: tv.posterize(images, 4 - int(4 * abs(strength))),
    "solarize": _solarize,
    "solarize-add": lambda images, strength, fill: torch.where(images < 128, images + int(110 * abs(strength)), images),
    "color": lambda images, strength, fill: tv.adjust_saturation(images, _factor(strength)),
    "contrast": lambda images, strength, fill: tv.adjust_contrast(images, _factor(strength)),
    "brightness": lambda images, strength, fill: tv.adjust_brightness(images, _factor(strength)),
    "sharpness": lambda images, strength, fill: tv.adjust_sharpness(images, _factor(strength)),
    "shear-x": lambda images, strength, fill: affine(images, fill, shear=(0.3 * strength, 0)),
    "shear-y": lambda images, strength, fill: affine(images, fill, shear=(0, 0.3 * strength)),
    "translate-x": lambda images, strength, fill: affine(images, fill, shift=(-0.45 * strength * images.shape[-1], 0)),
    "translate-y": lambda images, strength, fill: affine(images, fill, shift=(0, -0.45 * strength * images.shape[-2])),
}

TIMM = Policy(OPERATIONS, mean_colour=True, before_crop=False)
