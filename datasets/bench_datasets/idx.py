"""IDX files, in which MNIST and its descendants are published: images and labels of each split, gzipped or not.

    train-images-idx3-ubyte.gz   train-labels-idx1-ubyte.gz      60,000 of MNIST
    t10k-images-idx3-ubyte.gz    t10k-labels-idx1-ubyte.gz       10,000

A file is two zero bytes, a byte for the type (8: uint8), a byte for the number of dimensions, each dimension as a
big-endian 32-bit number, and the values (http://yann.lecun.com/exdb/mnist/).
"""

import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torchvision import datasets

from bench.data.datasets import DatasetCard, Fetch, Reader, Source, SourceCard, SplitName
from bench.data.places import Place
from bench.errors import RunFailure, UsageError
from bench.storage.regular_files import machine_memory

_LOADERS = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}
_SPLITS: dict[SplitName, str] = {"train": "train", "test": "t10k"}
_KINDS = {"images": 3, "labels": 1}  # dimensions
_UINT8 = 8


class IdxOptions(BaseModel):
    """`path`: the folder of the files, below the data root. `official`: whose published checksums they must have."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: Place
    official: Literal["mnist", "fashion-mnist"] | None = None


class IdxReader(Reader):
    """Reads them; the gzipped file where both are there, as its checksum is published.

    Label i is the i-th of the card's `class_ids` as written there, which sorted as text may be another: 10 before 2.
    """

    names_classes = False
    Options = IdxOptions

    def __init__(self) -> None:
        self._read: dict[Path, np.ndarray] = {}

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """The test images, which every use needs."""
        return f"{Path(IdxOptions.model_validate(source.options).path, _name('test', 'images'))}.gz"

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """The splits that are there, each with its labels."""
        options = IdxOptions.model_validate(source.options)
        folder = root / options.path
        files = {split: found for split in _SPLITS if (found := _files(folder, split))}
        if not files:
            return None
        if card.class_ids is None or card.order is None:
            raise UsageError(f"the card of {card.name} must list class_ids: the layout idx does not give them")
        published = {each.file: each.checksum for each in self.fetches(card, source)}
        here = [path for paths in files.values() for path in paths]
        checksums = {path: published[name] for path in here if (name := str(path.relative_to(root))) in published}
        known = {**options.model_dump(), "class_ids": card.class_ids}
        return Source(source.layout, folder, files, card.order, known, checksums)

    def labels(self, source: Source, split: SplitName) -> Tensor:
        """The labels of the file, as positions in class order."""
        images, labels = (self._content(source, split, kind) for kind in _KINDS)
        if len(images) != len(labels):
            raise RunFailure(f"corrupt file: {source.root} has {len(images)} {split} images and {len(labels)} labels")
        if len(labels) and labels.max() >= len(source.classes):
            row = int(labels.argmax())
            raise RunFailure(
                f"corrupt file: {source.files[split][1]}: row {row} has the label {labels[row]}, of no class"
            )
        ranks = torch.tensor([source.classes.index(each) for each in source.options["class_ids"]])
        return ranks[torch.from_numpy(labels.astype(np.int64))]

    def label_order(self, source: Source) -> Sequence[str | int]:
        """Numbers are all that the files know."""
        return range(len(source.classes))

    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """Arrays (1, rows, columns)."""
        images = self._content(source, split, "images")
        for index in indices:
            yield f"{source.files[split][0]} image {index}", images[index][None]

    def fetches(self, card: DatasetCard, source: SourceCard) -> Sequence[Fetch]:
        """Addresses and checksums of the four files, as torchvision has them."""
        options = IdxOptions.model_validate(source.options)
        if options.official is None:
            return super().fetches(card, source)
        loader = _LOADERS[options.official]
        return [
            Fetch(url=loader.mirrors[0] + name, file=str(Path(options.path, name)), checksum=f"md5:{md5}")
            for name, md5 in loader.resources
        ]

    def _content(self, source: Source, split: SplitName, kind: str) -> np.ndarray:
        """The array of a file, read once."""
        path = source.files[split][list(_KINDS).index(kind)]
        if path not in self._read:
            self._read[path] = _array(path, _KINDS[kind])
        return self._read[path]


def _name(split: SplitName, kind: str) -> str:
    return f"{_SPLITS[split]}-{kind}-idx{_KINDS[kind]}-ubyte"


def _files(folder: Path, split: SplitName) -> tuple[Path, ...]:
    """Images and labels of a split, or nothing where it is not there.

    Raises:
        UsageError: one is there without the other.
    """
    wanted = [_name(split, kind) for kind in _KINDS]
    found = [next((each for each in (folder / f"{name}.gz", folder / name) if each.is_file()), None) for name in wanted]
    there = tuple(path for path in found if path is not None)
    if len(there) == 1:
        missing = wanted[found.index(None)]
        raise UsageError(f"{folder} has {there[0].name} and no {missing}")
    return there


def _array(path: Path, dimensions: int) -> np.ndarray:
    """The uint8 values of an IDX file in their shape. No more is read, or expanded, than its header speaks of.

    Raises:
        RunFailure: it cannot be read, is of another type or number of dimensions, has more or fewer values, or speaks
            of more than the memory holds.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = _shape(path, file.read(4 * (1 + dimensions)), dimensions)
            content = file.read(math.prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RunFailure(f"corrupt file: {path} cannot be read: {error}") from error
    if len(content) != math.prod(shape):
        raise _no_idx(path, dimensions)
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(path: Path, head: bytes, dimensions: int) -> list[int]:
    """What a header says. Raises RunFailure as `_array`."""
    if len(head) != 4 * (1 + dimensions) or head[:4] != bytes((0, 0, _UINT8, dimensions)):
        raise _no_idx(path, dimensions)
    shape: list[int] = np.frombuffer(head[4:], ">u4").tolist()
    if (count := math.prod(shape)) > (most := machine_memory()):
        raise RunFailure(f"corrupt file: {path} speaks of {count:,} bytes, more than the {most:,} of this memory")
    return shape


def _no_idx(path: Path, dimensions: int) -> RunFailure:
    return RunFailure(f"corrupt file: {path} is no IDX file of uint8 in {dimensions} dimensions, or not all of it")
