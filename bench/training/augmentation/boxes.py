"""Random boxes of crops and CutMix, and the order of shuffled patches, drawn by the rules of the releases."""

import math

import numpy as np
import torch
from torch import Tensor

CROP_TRIES = 10  # torchvision's RandomResizedCrop.get_params


def shuffled_lines(rng: np.random.Generator, count: int, size: int, patches: int) -> Tensor:
    """For rows and columns of each image, the order of their pixels when whole patches change places.

    RDED's rule (Sun et al., CVPR 2024, released code): columns of patches are permuted, then rows of patches, for each
    image apart; the last patch takes what a division leaves over.

    Returns:
        int64 (count, 2, size), a permutation of the pixels of an axis in every line.
    """
    patch_of = np.minimum(np.arange(size) // max(1, size // patches), patches - 1)
    places = rng.random((count, 2, patches))
    return torch.from_numpy(places[:, :, patch_of].argsort(axis=2, kind="stable"))


def resized_boxes(
    rng: np.random.Generator, count: int, size: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Boxes of RandomResizedCrop by torchvision's rule, one per image: int64 (count, 4), top, left, height, width.

    The area is uniform in `scale`, the aspect ratio log-uniform in `ratio`; the first of ten tries that fits is
    taken, and if none does the largest central box with an allowed ratio.
    """
    area = size**2 * rng.uniform(*scale, (count, CROP_TRIES))
    aspect = np.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1]), (count, CROP_TRIES)))
    widths, heights = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
    fits = (widths > 0) & (widths <= size) & (heights > 0) & (heights <= size)
    first, rows, found = fits.argmax(1), np.arange(count), fits.any(1)
    spare_height, spare_width = _largest_box(size, ratio)
    height = np.where(found, heights[rows, first], spare_height).astype(np.int64)
    width = np.where(found, widths[rows, first], spare_width).astype(np.int64)
    top = np.where(found, rng.integers(0, size - height + 1), (size - height) // 2)
    left = np.where(found, rng.integers(0, size - width + 1), (size - width) // 2)
    return torch.from_numpy(np.stack([top, left, height, width], axis=1))


def _largest_box(size: int, ratio: tuple[float, float]) -> tuple[int, int]:
    if ratio[0] > 1:
        return round(size / ratio[0]), size
    if ratio[1] < 1:
        return size, round(size * ratio[1])
    return size, size


def cutmix_box(rng: np.random.Generator, size: int, share: float) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of a box of about 1 - share of the area around a uniform centre, clipped at the border.

    Yun et al. (ICCV 2019), equation 2.
    """
    side = int(size * math.sqrt(1 - share))
    row, column = (int(centre) for centre in rng.integers(size, size=2))
    top, left = max(row - side // 2, 0), max(column - side // 2, 0)
    return top, min(row + side // 2, size), left, min(column + side // 2, size)
