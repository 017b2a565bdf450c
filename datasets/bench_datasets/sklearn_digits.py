"""The 1,797 gray 8×8 digits that come with scikit-learn (the test part of UCI's optical digits; levels 0 to 16).

They have no split of their own. Here a fifth of each class is the test split, drawn once and for all by a seed from
names.
"""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from bench.data.datasets import DatasetCard, Reader, Source, SourceCard, SplitName
from bench.data.held_out import stratified

TEST_SHARE = 0.2
_LEVELS = 16
_CLASSES = tuple(str(digit) for digit in range(10))


class DigitsOptions(BaseModel):
    """Takes none: nothing has to be on disk."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DigitsReader(Reader):
    """Reads them. Levels 0..16 become 0..255."""

    Options = DigitsOptions

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """They are always there."""
        return "scikit-learn's bundled digits"

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source:
        """Always found."""
        about = {"scikit-learn": version("scikit-learn")}
        return Source(source.layout, Path("scikit-learn"), {"train": (), "test": ()}, _CLASSES, about)

    def labels(self, source: Source, split: SplitName) -> Tensor:
        """The digits themselves."""
        labels = _load()[1]
        return labels[_indices(labels, split)]

    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """Arrays (1, 8, 8)."""
        images, labels = _load()
        chosen = _indices(labels, split)
        for index in indices:
            yield f"digits {split} image {index}", images[chosen[index]].numpy()


def _load() -> tuple[Tensor, Tensor]:
    """Images uint8 (1797, 1, 8, 8) and labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = np.rint(found.images * (255 / _LEVELS)).astype(np.uint8)
    return torch.from_numpy(pixels)[:, None], torch.from_numpy(found.target).long()


def _indices(labels: Tensor, split: SplitName) -> Tensor:
    """Which images are of the split, ascending: a fifth of each class, drawn at random, is the test split."""
    return stratified(labels, _CLASSES, TEST_SHARE, "digits", "split")[split]
