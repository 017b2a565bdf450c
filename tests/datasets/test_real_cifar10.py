"""The real CIFAR-10 as Parquet, where it is on this machine."""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from bench.data.datasets import Dataset
from bench.data.decoding import DecodedForm, decoded
from bench.data.opening import open_dataset
from bench.extensions.registry import Registry
from bench.progress import Silent

pytestmark = pytest.mark.real_data

OFFICIAL = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(scope="module")
def root() -> Path:
    """The data root."""
    root = Path(os.environ.get("BENCH_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (root / "cifar10" / "data").is_dir():
        pytest.skip(f"real data absent: no cifar10 below {root}; set BENCH_DATA")
    return root


@pytest.fixture(scope="module")
def dataset(registry: Registry, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(registry, "cifar10", root, tmp_path_factory.mktemp("cache"), Silent())


def test_all_classes_and_images_are_there(dataset: Dataset) -> None:
    assert dataset.classes == OFFICIAL
    assert torch.bincount(dataset.train.labels).tolist() == [5000] * 10
    assert torch.bincount(dataset.test.labels).tolist() == [1000] * 10


def test_they_are_copies_and_say_so(dataset: Dataset) -> None:
    assert dataset.source == "parquet"
    assert dataset.source_differs is not None and "JPEG" in dataset.source_differs


def test_images_are_those_of_the_file(dataset: Dataset, root: Path) -> None:
    """Their constants are near the official: mean .4914 .4822 .4465, std over pixels .2470 .2435 .2616."""
    rows = pq.read_table(root / "cifar10/data/test-00000-of-00001.parquet").slice(5000, 100).to_pylist()
    images = dataset.test.take(torch.arange(5000, 5100))
    for image, label, row in zip(images, dataset.test.labels[5000:5100], rows, strict=True):
        assert int(label) == row["label"]
        np.testing.assert_array_equal(image.numpy(), decoded("row", row["image"]["bytes"], DecodedForm(3, 32, 32)))
    pixels = dataset.test.take(torch.arange(10000)).double() / 255
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
    torch.testing.assert_close(mean, torch.tensor([0.4914, 0.4822, 0.4465], dtype=torch.float64), atol=0.006, rtol=0)
    torch.testing.assert_close(std, torch.tensor([0.2470, 0.2435, 0.2616], dtype=torch.float64), atol=0.004, rtol=0)
