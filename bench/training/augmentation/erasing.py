"""Random erasing (Zhong et al., AAAI 2020) as DeiT trains with it: timm's mode "pixel".

A box of an image gives way to noise from N(0, 1) in normalised space. Its area is uniform in 2 % to 1/3 of the
image's, its height over its width log-uniform in 0.3 to 1/0.3; of ten tries the first that fits is taken, and if none
does, none.
Unlike timm's, the images of a batch share one field of noise, of which each shows what lies in its own box.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

AREA = (0.02, 1 / 3)
ASPECT = (0.3, 1 / 0.3)
TRIES = 10


@dataclass(frozen=True)
class Erasing:
    """One drawing for a batch.

    Attributes:
        boxes: int64 (B, 4): top, left, height, width of what is erased; of height 0 where nothing is.
        seed: of the noise.
    """

    boxes: Tensor
    seed: int

    def apply(self, images: Tensor) -> Tensor:
        """Images float (B, C, S, S) in normalised space, same shape."""
        noise = torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(self.seed))
        noise = noise.to(images.device, images.dtype, non_blocking=True)
        top, left, height, width = self.boxes.to(images.device, non_blocking=True)[:, :, None].unbind(1)
        rows, columns = (torch.arange(size, device=images.device) for size in images.shape[-2:])
        down, across = (rows >= top) & (rows < top + height), (columns >= left) & (columns < left + width)
        return torch.where((down[:, :, None] & across[:, None, :])[:, None], noise, images)


def draw(probability: float, count: int, size: int, rng: np.random.Generator) -> Erasing:
    """Draws for `count` images of `size` pixels a side."""
    erased = rng.random(count) < probability
    area = size**2 * rng.uniform(*AREA, (count, TRIES))
    aspect = np.exp(rng.uniform(math.log(ASPECT[0]), math.log(ASPECT[1]), (count, TRIES)))
    heights, widths = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
    fits = (heights < size) & (widths < size)
    first, rows = fits.argmax(1), np.arange(count)
    height = np.where(erased & fits.any(1), heights[rows, first], 0).astype(np.int64)
    width = np.where(fits.any(1), widths[rows, first], 0).astype(np.int64)
    top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
    return Erasing(torch.from_numpy(np.stack([top, left, height, width], axis=1)), int(rng.integers(2**63)))
