"""The digits that come with scikit-learn: nothing on disk, one split for everybody."""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from bench.data.datasets import Dataset, Normalisation
from bench.data.opening import open_dataset
from bench.extensions.registry import Registry
from bench.progress import Silent
from bench.storage.files import digest


def _open(registry: Registry, folder: Path) -> Dataset:
    return open_dataset(registry, "digits", folder / "none", folder / "cache", Silent())


def test_every_digit_is_in_one_split_with_its_pixels(registry: Registry, tmp_path: Path) -> None:
    dataset = _open(registry, tmp_path)
    train, test = (split.take(torch.arange(len(split))) for split in (dataset.train, dataset.test))
    found = sorted(image.numpy().tobytes() for image in torch.cat([train, test]))
    levels = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    assert found == sorted(image.tobytes() for image in levels)
    assert (int(train.min()), int(train.max())) == (0, 255)


def test_the_test_split_is_a_fifth_of_each_class(registry: Registry, tmp_path: Path) -> None:
    dataset = _open(registry, tmp_path)
    counts = np.bincount(load_digits().target)
    assert torch.bincount(dataset.test.labels).tolist() == [round(count / 5) for count in counts]


def test_the_split_never_changes(registry: Registry, tmp_path: Path) -> None:
    """Scores on digits are compared across versions: another split would be another dataset."""
    dataset = _open(registry, tmp_path)
    assert digest(dataset.test.labels.tolist()) == "0ce7b8f2303594bde92fe4ca78a23e20"


def test_the_constants_are_those_of_the_training_split(registry: Registry, tmp_path: Path) -> None:
    dataset = _open(registry, tmp_path)
    pixels = dataset.train.take(torch.arange(len(dataset.train))).double() / 255
    assert isinstance(dataset.normalisation, Normalisation)
    assert dataset.normalisation.mean == (round(float(pixels.mean()), 4),)
    assert dataset.normalisation.std == (round(float(pixels.std()), 4),)
