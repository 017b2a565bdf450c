"""SVHN's cropped digits as they were published: a MATLAB file for each split.

`X` holds the images (32, 32, 3, N) and `y` the labels (N, 1), in which 10 stands for the digit 0 (Netzer et al., 2011;
http://ufldl.stanford.edu/housenumbers/). Here label 0 is the digit 0, as in torchvision.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torchvision import datasets

from bench.data.datasets import DatasetCard, Fetch, Reader, Source, SourceCard, SplitName
from bench.data.places import Place
from bench.errors import RunFailure, UsageError

_SPLITS: tuple[SplitName, ...] = ("train", "test")
_ZERO = 10


class SvhnOptions(BaseModel):
    """`path`: the folder of the two files, below the data root."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: Place = "."


class SvhnReader(Reader):
    """Reads train_32x32.mat and test_32x32.mat, once they have the published checksums."""

    names_classes = False
    Options = SvhnOptions

    def __init__(self) -> None:
        self._loaded: dict[Path, tuple[np.ndarray, np.ndarray]] = {}

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """The test split, which every use needs."""
        return str(Path(SvhnOptions.model_validate(source.options).path, _file("test")))

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """The files that are there."""
        folder = root / SvhnOptions.model_validate(source.options).path
        files = {split: (path,) for split in _SPLITS if (path := folder / _file(split)).is_file()}
        if not files:
            return None
        if card.order is None:
            raise UsageError(f"the card of {card.name} must list class_ids: the layout svhn does not give them")
        checksums = {path: _checksum(split) for split, (path,) in files.items()}
        return Source(source.layout, folder, dict(files), card.order, {}, checksums)

    def labels(self, source: Source, split: SplitName) -> Tensor:
        """The digits."""
        labels = self._content(source, split)[1]
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(source.classes):
            raise RunFailure(f"corrupt file: {source.files[split][0]} has a label that is no digit")
        return torch.from_numpy(labels)

    def label_order(self, source: Source) -> Sequence[str | int]:
        """Numbers are all that the files know."""
        return range(len(source.classes))

    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """Arrays (3, 32, 32)."""
        images = self._content(source, split)[0]
        for index in indices:
            yield f"{source.files[split][0]} image {index}", images[..., index].transpose(2, 0, 1)

    def fetches(self, card: DatasetCard, source: SourceCard) -> Sequence[Fetch]:
        """Addresses and checksums of the two files, as torchvision has them."""
        folder = SvhnOptions.model_validate(source.options).path
        return [
            Fetch(url=_published(split)[0], file=str(Path(folder, _file(split))), checksum=_checksum(split))
            for split in _SPLITS
        ]

    def _content(self, source: Source, split: SplitName) -> tuple[np.ndarray, np.ndarray]:
        """Images (32, 32, 3, N) and labels (N,), loaded once."""
        (path,) = source.files[split]
        if path not in self._loaded:
            self._loaded[path] = _load(path)
        return self._loaded[path]


def _published(split: SplitName) -> Sequence[str]:
    """Address, name and MD5 of a split's file."""
    found: Sequence[str] = datasets.SVHN.split_list[split]
    return found


def _file(split: SplitName) -> str:
    return _published(split)[1]


def _checksum(split: SplitName) -> str:
    return f"md5:{_published(split)[2]}"


def _load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path, variable_names=["X", "y"])
        images, labels = content["X"], content["y"].astype(np.int64).reshape(-1)
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, MatReadError) as error:
        raise RunFailure(f"corrupt file: {path} cannot be read: {error}") from error
    if images.shape != (32, 32, 3, len(labels)) or images.dtype != np.uint8:
        raise RunFailure(f"corrupt file: {path} has {len(labels)} labels and images {images.dtype} {images.shape}")
    return images, np.where(labels == _ZERO, 0, labels)
