"""Constants of a card's training images, against NumPy in float64."""

import numpy as np
import pytest
import torch

from bench.data.constants import measured
from bench.data.datasets import Dataset, Normalisation, TensorSplit
from bench.errors import UsageError
from bench.progress import Silent


def _dataset(images: torch.Tensor) -> Dataset:
    split, channels = TensorSplit(images, torch.zeros(len(images), dtype=torch.int64)), images.shape[1]
    half = Normalisation((0.5,) * channels, (0.5,) * channels)
    return Dataset("d", "0", images.shape[-1], channels, ("a", "b"), ("a", "b"), half, split, split)


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_std_of_each_channel(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1500, channels, 5, 5), dtype=np.uint8)
    pixels[:, 0] //= 3  # channels that differ
    mean, std = measured(_dataset(torch.from_numpy(pixels)), Silent())
    unit = pixels.astype(np.float64) / 255
    np.testing.assert_allclose(mean, unit.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, unit.std((0, 2, 3)), rtol=1e-12)


def test_a_channel_without_contrast_is_named() -> None:
    images = torch.randint(256, (4, 3, 2, 2), dtype=torch.uint8)
    images[:, 2] = 7
    with pytest.raises(UsageError, match="channel 2 of the training images of d is the same everywhere"):
        measured(_dataset(images), Silent())
