"""Jitter of brightness, contrast and saturation, and AlexNet's lighting, as IDC's release augments ImageNet.

With u from U(-j, j), an image x becomes x + u (t - x): t is black for brightness, its mean gray for contrast, its own
gray for saturation; the three come in an order of each image's own. Lighting adds what Krizhevsky et al. (NIPS 2012,
section 4.1) add: principal components of ImageNet's colours, each in a measure from N(0, sigma). Both act on pixels in
[0, 1], which may leave that range, and nothing is clamped.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.data.datasets import Preprocessing

LUMA = (0.299, 0.587, 0.114)
VARIANCES = (0.2175, 0.0188, 0.0045)
COMPONENTS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))  # of red, green, blue
BRIGHTNESS, CONTRAST, SATURATION = range(3)


@dataclass(frozen=True)
class Jitter:
    """One drawing for a batch.

    Attributes:
        orders: int64 (B, 3), which of the three comes first, second and third.
        shares: float32 (B, 3), u of brightness, contrast and saturation.
        lights: float32 (B, 3), what is added to red, green and blue.
    """

    orders: Tensor
    shares: Tensor
    lights: Tensor

    def apply(self, images: Tensor, preprocessing: Preprocessing) -> Tensor:
        """Images (B, C, S, S) as networks see them, same shape; ones of other than three channels get no lighting."""
        orders, shares, lights = (
            each.to(images.device, non_blocking=True) for each in (self.orders, self.shares, self.lights)
        )
        pixels = preprocessing.invert(images)
        for place in range(orders.shape[1]):
            pixels = _mixed(pixels, orders[:, place], shares)
        if pixels.shape[1] == len(LUMA):
            pixels = pixels + lights[:, :, None, None]
        return preprocessing.apply(255 * pixels)


def draw(jitter: float, lighting: float, count: int, rng: np.random.Generator) -> Jitter:
    """Draws for `count` images: at most `jitter` of each of the three, and lighting of that deviation."""
    orders = rng.permuted(np.tile(np.arange(3), (count, 1)), axis=1)
    shares = rng.uniform(-jitter, jitter, (count, 3))
    lights = (rng.normal(0, lighting, (count, 3)) * VARIANCES) @ np.transpose(COMPONENTS)
    floats = (torch.from_numpy(each.astype(np.float32)) for each in (shares, lights))
    return Jitter(torch.from_numpy(orders), *floats)


def _mixed(pixels: Tensor, which: Tensor, shares: Tensor) -> Tensor:
    """Each image under the one of the three that it is its turn of."""
    gray, which = _gray(pixels), which.view(-1, 1, 1, 1)
    level = gray.mean((1, 2, 3), keepdim=True).expand_as(gray)
    target = torch.where(which == SATURATION, gray, torch.where(which == CONTRAST, level, 0.0))
    share = shares.gather(1, which.flatten(1)).view_as(which)
    mixed: Tensor = torch.lerp(pixels, target.expand_as(pixels), share)
    return mixed


def _gray(pixels: Tensor) -> Tensor:
    """(B, 1, S, S)."""
    if pixels.shape[1] != len(LUMA):
        return pixels.mean(1, keepdim=True)
    red, green, blue = pixels.split(1, dim=1)
    gray: Tensor = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return gray
