"""The constants that a card states: mean and std of each channel of the training images."""

import numpy as np
import torch
from torch import Tensor

from bench.data.datasets import Dataset
from bench.errors import UsageError
from bench.progress import Progress, Throttled

_LEVELS = 256
_CHUNK = 1024  # images decoded at a time

Channels = tuple[float, ...]


def measured(dataset: Dataset, progress: Progress) -> tuple[Channels, Channels]:
    """Mean and std (of all pixels, as papers' constants are) of each channel, for pixels in [0, 1].

    Exact up to the last division: counts of the 256 levels are whole numbers.

    Raises:
        UsageError: no image, or a channel with one level everywhere, whose std of 0 no card can hold.
        RunFailure: training images that are not there or cannot be decoded.
    """
    counts = torch.zeros(dataset.channels, _LEVELS, dtype=torch.int64)
    watcher, done = Throttled(progress), 0
    for images, _ in dataset.train.chunks(_CHUNK):
        counts += _counted(images)
        done += len(images)
        watcher.advance("measure train images", done, len(dataset.train))
    if not done:
        raise UsageError(f"{dataset.name} has no training image to take a mean of")
    found = [_moments(each) for each in counts.tolist()]
    if flat := [channel for channel, (_, std) in enumerate(found) if std == 0]:
        raise UsageError(f"channel {flat[0]} of the training images of {dataset.name} is the same everywhere")
    return tuple(mean for mean, _ in found), tuple(std for _, std in found)


def _counted(images: Tensor) -> Tensor:
    """How often each level is in each channel, int64 (C, 256), of uint8 (N, C, H, W)."""
    return torch.stack([torch.bincount(channel.flatten(), minlength=_LEVELS) for channel in images.unbind(1)])


def _moments(counts: list[int]) -> tuple[float, float]:
    """Mean and std of levels in [0, 1] that occur so often."""
    levels, weights = np.arange(_LEVELS) / (_LEVELS - 1), np.array(counts, np.float64)
    mean = float(np.average(levels, weights=weights))
    return mean, float(np.sqrt(np.average((levels - mean) ** 2, weights=weights)))
