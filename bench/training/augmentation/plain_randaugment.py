"""RandAugment (Cubuk et al., NeurIPS 2020) as torchvision has it, which EDC's students on small sets are trained with.

Each image goes through two operations of fourteen, one of which is to do nothing, at one magnitude of 0..30 (9 is the
default of `torchvision.transforms.RandAugment`); where an operation can go both ways a coin says which. What a moved
image leaves free is black, and pixels are moved to the nearest. The images are changed before they are cropped, as the
releases that use it place it. In contrast to timm's policy (`bench.training.augmentation.randaugment`) no operation is
left out at random, no level is drawn, and posterising and solarising begin gently. Shifts are whole pixels, as in
torchvision.
"""

from functools import partial

import numpy as np
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from bench.training.augmentation.randaugment import (
    LAYERS,
    DrawnOperation,
    Operation,
    Policy,
    RandAugment,
    affine,
    rotated,
)

HIGHEST = 30  # magnitude; torchvision has 31 bins
SHIFT = 150 / 331  # of the side, at the highest magnitude
NEAREST = InterpolationMode.NEAREST


def draw(magnitude: int, count: int, rng: np.random.Generator) -> RandAugment:
    """Draws for `count` images at a magnitude of 1..30."""
    return RandAugment(tuple(_drawn(magnitude, count, rng) for _ in range(LAYERS)), POLICY)


def _drawn(magnitude: int, count: int, rng: np.random.Generator) -> DrawnOperation:
    chosen, away = rng.integers(len(OPERATIONS), size=count), rng.random(count) < 0.5
    strengths = (magnitude / HIGHEST,) * len(OPERATIONS)
    return DrawnOperation(torch.from_numpy(chosen), torch.from_numpy(away), strengths)


def _shift(strength: float, side: int) -> int:
    return int(SHIFT * strength * side)


_affine, _rotated = partial(affine, mode=NEAREST), partial(rotated, mode=NEAREST)

OPERATIONS: dict[str, Operation] = {
    "identity": lambda images, strength, fill: images,
    "shear-x": lambda images, strength, fill: _affine(images, fill, shear=(0.3 * strength, 0)),
    "shear-y": lambda images, strength, fill: _affine(images, fill, shear=(0, 0.3 * strength)),
    "translate-x": lambda images, strength, fill: _affine(images, fill, shift=(_shift(strength, images.shape[-1]), 0)),
    "translate-y": lambda images, strength, fill: _affine(images, fill, shift=(0, _shift(strength, images.shape[-2]))),
    "rotate": _rotated,
    "brightness": lambda images, strength, fill: tv.adjust_brightness(images, 1 + 0.9 * strength),
    "color": lambda images, strength, fill: tv.adjust_saturation(images, 1 + 0.9 * strength),
    "contrast": lambda images, strength, fill: tv.adjust_contrast(images, 1 + 0.9 * strength),
    "sharpness": lambda images, strength, fill: tv.adjust_sharpness(images, 1 + 0.9 * strength),
    "posterize": lambda images, strength, fill: tv.posterize(images, 8 - round(4 * abs(strength))),
    "solarize": lambda images, strength, fill: tv.solarize(images, 255 * (1 - abs(strength))),
    "autocontrast": lambda images, strength, fill: tv.autocontrast(images),
    "equalize": lambda images, strength, fill: tv.equalize(images),
}

POLICY = Policy(OPERATIONS, mean_colour=False, before_crop=True)
