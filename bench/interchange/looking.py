"""What the values of a tensor say of themselves where no manifest does.

Pixels of tensors tell their range, but normalised and ZCA-whitened ones look alike. What is left of the likeness of
neighbours tells them apart: of normalised CIFAR-10 the correlation is 0.93, of the digits 0.54, whitened with MTT's
eps of 0.1 it is 0.38, with smaller ones less.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from bench.interchange.handwritten import Range
from bench.interchange.pixels import far_outside
from bench.labels import not_distributions
from bench.sets.tensor_files import named
from bench.storage.users_files import require_content

ALIKE = 0.5  # correlation of neighbours from which pixels are not whitened
CHANNELS = (1, 3)
CANCELS = 0.25  # of what numbers are without their signs, at most, is left of the sum of centred ones
OUTSIDE = 0.1  # so many of normalised values lie far outside 0..1, at least


class Ranges(NamedTuple):
    """What pixels lie in: `sure` is None where they leave it open, `likely` what to try first."""

    sure: Range | None
    likely: Range


def range_of(path: Path, name: str) -> Ranges:
    """Of the pixels (N, C, H, W) or (N, H, W, C) of a file. Raises as `bench.sets.tensor_files.named`."""
    require_content(path)
    about = path.stat()
    return _range(path, name, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=8)
def _range(path: Path, name: str, changed: int, size: int) -> Ranges:
    (pixels,) = named(path, name, fits=lambda shapes: "")
    if not pixels.is_floating_point():
        return Ranges("0..255", "0..255")
    values = _upright(pixels).float()
    low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 0.0)
    if low >= 0 and high <= 1:
        return Ranges("0..1", "0..1")
    if low >= 0 and 2 < high <= 255:
        return Ranges("0..255", "0..255")
    if far_outside(values) <= OUTSIDE * values.numel():
        return Ranges(None, "0..1")
    alike = values.ndim == 4 and likeness(values) >= ALIKE
    return Ranges("normalised", "normalised") if alike else Ranges(None, "whitened")


def _upright(pixels: Tensor) -> Tensor:
    """As (N, C, H, W), also what is (N, H, W, C) by all appearance."""
    turned = pixels.ndim == 4 and pixels.shape[1] not in CHANNELS and pixels.shape[3] in CHANNELS
    return pixels.permute(0, 3, 1, 2) if turned else pixels


def likeness(pixels: Tensor) -> float:
    """The correlation of neighbours in images (N, C, H, W), each channel around its mean: 1 where all is smooth."""
    around = pixels - pixels.mean((0, 2, 3), keepdim=True)
    pairs = ((around[..., :-1], around[..., 1:]), (around[..., :-1, :], around[..., 1:, :]))
    found = [(one * other).mean() / ((one**2).mean() * (other**2).mean()).sqrt() for one, other in pairs]
    return float(torch.nan_to_num(torch.stack(found)).mean())


def rows_of(labels: Tensor) -> Literal["soft", "regression", "logits"]:
    """What labels (N, K) of floats seem to be, as a manifest's source calls it."""
    if not not_distributions(labels, *labels.shape):
        return "soft"
    return "regression" if are_centred(labels) else "logits"


def are_centred(labels: Tensor) -> bool:
    """Whether labels (N, K) lie within -1..1 and sum to about 0, as classes do less their mean (FRePo's targets).

    Logits that somebody trains on reach further: within these bounds a class of ten has 0.45 of the softmax at most.
    """
    values = labels.float()
    left, whole = values.sum(1).abs().mean(), values.abs().sum(1).mean()
    return bool((values.abs() <= 1).all() & (left <= CANCELS * whole))
