"""ImageNet-1K at 64 pixels a side, in the batches that were published (Chrabaszcz, Loshchilov and Hutter, 2017).

    Imagenet64_train_part1_npz/train_data_batch_1.npz    to 5
    Imagenet64_train_part2_npz/train_data_batch_6.npz    to 10
    Imagenet64_val_npz/val_data.npz

In a batch `data` holds the images, uint8 (N, 12288), all of red, then green, then blue, and `labels` the numbers (N,)
from 1 to 1000 of classes in an order of the release's own (map_clsloc.txt of PatrykChrabaszcz/Imagenet32_Scripts,
whose ids are in imagenet64.txt here), which is not that of ImageNet's folders.
"""

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from bench.data.datasets import DatasetCard, Fetch, Reader, Source, SourceCard, SplitName
from bench.data.places import Place
from bench.errors import RunFailure, why
from bench.storage.regular_files import machine_memory

IDS = tuple(Path(__file__).with_name("imagenet64.txt").read_text(encoding="utf-8").split())  # label 1 is the first
_SIDE = 64
_BATCHES: dict[SplitName, Sequence[str]] = {
    "train": [f"Imagenet64_train_part{1 + (n > 5)}_npz/train_data_batch_{n}.npz" for n in range(1, 11)],
    "test": ["Imagenet64_val_npz/val_data.npz"],
}
_ADDRESS = "https://www.image-net.org/data/downsample/"
_ARCHIVES = (  # bytes and SHA-256, as TensorFlow Datasets has them (imagenet_resized/checksums.tsv)
    ("Imagenet64_train_part1_npz", 6783426789, "9422dc1dc5d092e9814a70a1cb7fc74880d2db5d88a0cb8a34ee363b12bde3f1"),
    ("Imagenet64_train_part2_npz", 6780506068, "9fafc115afb7e6c301e66dc16b2d737152b427bd5dab26e1293487a6819c7f30"),
    ("Imagenet64_val_npz", 529522927, "e1e75133158a1924135a9c6f97a80d2d237b158945e0b34074e58e6c8430eeb8"),
)
_BROKEN = (OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, MemoryError, BadZipFile, zlib.error)


class ImageNet64Options(BaseModel):
    """`path`: the folder of the three extracted archives, below the data root."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: Place = "."


class ImageNet64Reader(Reader):
    """Reads them. A batch can only be read whole; as many are held as half of the memory has room for, one at least."""

    Options = ImageNet64Options

    def __init__(self) -> None:
        self._numbers: dict[Path, np.ndarray] = {}
        self._held: dict[Path, np.ndarray] = {}
        self._lock = Lock()

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """The batch of the test split, which every use needs."""
        return str(Path(ImageNet64Options.model_validate(source.options).path, *_BATCHES["test"]))

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """The batches that are there; where some are missing, the number of images shows it."""
        folder = root / ImageNet64Options.model_validate(source.options).path
        there = {split: [folder / name for name in names] for split, names in _BATCHES.items()}
        files = {split: found for split, paths in there.items() if (found := tuple(filter(Path.is_file, paths)))}
        return Source(source.layout, folder, files, tuple(sorted(IDS))) if files else None

    def labels(self, source: Source, split: SplitName) -> Tensor:
        """The numbers of all batches, as positions in class order."""
        ranks = torch.tensor([source.classes.index(each) for each in IDS])
        numbers = np.concatenate([self._labels(path) for path in source.files[split]])
        return ranks[torch.from_numpy(numbers - 1)]

    def label_order(self, source: Source) -> Sequence[str | int]:
        """The release's."""
        return IDS

    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """Arrays (3, 64, 64)."""
        paths = source.files[split]
        starts = np.cumsum([0, *(len(self._labels(path)) for path in paths)])
        for index in indices:
            batch = int(np.searchsorted(starts, index, side="right")) - 1
            row = index - int(starts[batch])
            yield f"{paths[batch]} image {row}", self._images(paths[batch])[row].reshape(3, _SIDE, _SIDE)

    def fetches(self, card: DatasetCard, source: SourceCard) -> Sequence[Fetch]:
        """Addresses, sizes and checksums of the three archives."""
        folder = ImageNet64Options.model_validate(source.options).path
        return [
            Fetch(
                url=f"{_ADDRESS}{name}.zip",
                file=str(Path(folder, f"{name}.zip")),
                bytes=size,
                checksum=f"sha256:{checksum}",
                extract=name,
            )
            for name, size, checksum in _ARCHIVES
        ]

    def _labels(self, path: Path) -> np.ndarray:
        """The numbers (N,) of a batch, read once: int64, 1 to 1000."""
        if path not in self._numbers:
            labels = _array(path, "labels")
            if labels.ndim != 1 or labels.dtype.kind not in "iu":
                raise RunFailure(
                    f"corrupt file: {path} has labels {labels.dtype} {labels.shape}, not a number an image"
                )
            if len(strange := np.flatnonzero((labels < 1) | (labels > len(IDS)))):
                row = int(strange[0])
                raise RunFailure(f"corrupt file: {path}: row {row} has the label {labels[row]}, of no class")
            self._numbers[path] = labels.astype(np.int64)
        return self._numbers[path]

    def _images(self, path: Path) -> np.ndarray:
        """The images (N, 12288) of a batch, read unless they are held; what was read first makes room for them."""
        with self._lock:
            if path not in self._held:
                images, count = _array(path, "data"), len(self._labels(path))
                if images.shape != (count, 3 * _SIDE**2) or images.dtype != np.uint8:
                    raise RunFailure(
                        f"corrupt file: {path} has {count} labels and images {images.dtype} {images.shape}"
                    )
                while self._held and images.nbytes + sum(each.nbytes for each in self._held.values()) > _room():
                    del self._held[next(iter(self._held))]
                self._held[path] = images
            return self._held[path]


def _room() -> int:
    """Bytes of batches that are held."""
    return machine_memory() // 2


def _array(path: Path, name: str) -> np.ndarray:
    """One array of a batch; pickled objects are refused. Raises RunFailure where it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as content:
            array: np.ndarray = content[name]
    except _BROKEN as error:
        raise RunFailure(f"corrupt file: {path} cannot be read: {why(error)}") from error
    return array
