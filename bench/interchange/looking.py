"""What the values of a tensor say of themselves where no manifest does.

Pixels of tensors tell their range, but normalised and ZCA-whitened ones look alike. What is left of the likeness of
neighbours tells them apart: of normalised CIFAR-10 the correlation is 0.93, of the digits 0.54, whitened with MTT's
eps of 0.1 it is 0.38, with smaller ones less.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from bench.interchange.handwritten import Range
from bench.interchange.pixels import far_outside
from bench.sets.tensor_files import named
from bench.storage.users_files import require_content

ALIKE = 0.5  # correlation of neighbours from which pixels are not whitened
OUTSIDE = 0.1  # so many of normalised values lie far outside 0..1, at least


class Ranges(NamedTuple):
    """What pixels lie in: `sure` is None where they leave it open, `likely` what to try first."""

    sure: Range | None
    likely: Range


def range_of(path: Path, name: str) -> Ranges:
    """Of the pixels (N, C, H, W) of a file. Raises as `bench.sets.tensor_files.named`."""
    require_content(path)
    about = path.stat()
    return _range(path, name, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=8)
def _range(path: Path, name: str, changed: int, size: int) -> Ranges:
    (pixels,) = named(path, name, fits=lambda shapes: "")
    if not pixels.is_floating_point():
        return Ranges("0..255", "0..255")
    values = pixels.float()
    low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 0.0)
    if low >= 0 and high <= 1:
        return Ranges("0..1", "0..1")
    if low >= 0 and 2 < high <= 255:
        return Ranges("0..255", "0..255")
    if far_outside(values) <= OUTSIDE * values.numel():
        return Ranges(None, "0..1")
    alike = values.ndim == 4 and likeness(values) >= ALIKE
    return Ranges("normalised", "normalised") if alike else Ranges(None, "whitened")


def likeness(pixels: Tensor) -> float:
    """The correlation of neighbours in images (N, C, H, W), each channel around its mean: 1 where all is smooth."""
    around = pixels - pixels.mean((0, 2, 3), keepdim=True)
    pairs = ((around[..., :-1], around[..., 1:]), (around[..., :-1, :], around[..., 1:, :]))
    found = [(one * other).mean() / ((one**2).mean() * (other**2).mean()).sqrt() for one, other in pairs]
    return float(torch.nan_to_num(torch.stack(found)).mean())
