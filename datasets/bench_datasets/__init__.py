"""Built-in plugin: dataset cards, and the layouts on disk that their sources lie in."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from bench.hookspecs import Offer, hookimpl

_CARDS = Path(__file__).parent

_READERS = {
    "parquet": ("bench_datasets.parquet:ParquetReader", "Parquet files in the columns of Hugging Face datasets"),
    "webdataset": (
        "bench_datasets.webdataset:WebDatasetReader",
        "WebDataset's shards, of images and numbers",
    ),
    "image-folder": ("bench_datasets.image_folder:ImageFolderReader", "a folder a split, in it a folder a class"),
    "tiny-imagenet-zip": ("bench_datasets.tiny_imagenet:ZipReader", "the official Tiny-ImageNet archive as it is"),
    "tiny-imagenet-folder": ("bench_datasets.tiny_imagenet:FolderReader", "the official archive, extracted"),
    "cifar": ("bench_datasets.cifar:CifarReader", "the official CIFAR archive, or that archive extracted"),
    "idx": ("bench_datasets.idx:IdxReader", "IDX files of images and labels, as MNIST and Fashion-MNIST are published"),
    "svhn": ("bench_datasets.svhn:SvhnReader", "the official MATLAB files of SVHN's cropped digits"),
    "imagenet64": ("bench_datasets.imagenet64:ImageNet64Reader", "the official batches of ImageNet-1K at 64 pixels"),
    "sklearn-digits": ("bench_datasets.sklearn_digits:DigitsReader", "the digits that come with scikit-learn"),
}


@hookimpl
def bench_datasets() -> Sequence[Offer]:
    """One offer for each card beside this file."""
    return [_offer(path) for path in sorted(_CARDS.glob("*.toml"))]


@hookimpl
def bench_readers() -> Sequence[Offer]:
    """The layouts that cards may name."""
    return [Offer(name, target, summary) for name, (target, summary) in _READERS.items()]


def _offer(path: Path) -> Offer:
    card = tomllib.loads(path.read_text(encoding="utf-8"))
    return Offer(card["name"], path, card["title"])
