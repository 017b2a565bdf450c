"""Datasets as the harness sees them: a card, splits of uint8 images, classes in one order, normalisation.

A dataset is a card (`DatasetCard`: what it is, from TOML) plus a reader (`Reader`: where its images lie in one
layout on disk). Opening goes card -> `Reader.locate` -> `Source` -> `Dataset`; see `bench.opening`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from bench.files import digest

SplitName = Literal["train", "test"]
Unit01 = Annotated[float, Field(ge=0, le=1)]


class Fetch(BaseModel):
    """An official download: its address, size in bytes, checksum as "algorithm:hex", and the file's name."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str
    file: str
    bytes: int | None = None
    checksum: str


class SourceCard(BaseModel):
    """One layout in which the dataset can be found below the data root.

    `options` are the reader's own: each reader says which it takes. `fetch` is set where the layout can be downloaded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    layout: str
    options: dict[str, Any] = Field(default_factory=dict)
    fetch: Fetch | None = None


class DatasetCard(BaseModel):
    """What a dataset is. Unknown and missing fields are refused.

    `mean` and `std` are per channel, for pixels in [0, 1]. `class_ids` may be left out: then the reader finds them and
    `classes` says how many there must be. Class order is the sorted class ids whatever order they are written in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    title: str
    resolution: int = Field(ge=1)
    channels: int = Field(ge=1)
    classes: int = Field(ge=2)
    class_ids: tuple[str, ...] | None = None
    class_names: dict[str, str] = Field(default_factory=dict)
    mean: tuple[Unit01, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]
    licence: str
    citation: str
    homepage: str | None = None
    sources: tuple[SourceCard, ...] = Field(min_length=1)

    def hash(self) -> str:
        """Content hash of the card: part of every stage's key."""
        return digest(self.model_dump(mode="json"))


@dataclass(frozen=True)
class Normalisation:
    """Per-channel mean and std of pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def _shaped(self, values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, device=like.device, dtype=torch.float32).view(-1, 1, 1)

    def apply(self, images: Tensor) -> Tensor:
        """uint8 (..., C, H, W) -> float32 in normalised space."""
        return (images.float() / 255 - self._shaped(self.mean, images)) / self._shaped(self.std, images)

    def invert(self, images: Tensor) -> Tensor:
        """Float (..., C, H, W) in normalised space -> float pixels, in [0, 1] for images inside the valid box."""
        return images * self._shaped(self.std, images) + self._shaped(self.mean, images)

    def box(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper bound of valid pixels in normalised space: (0 - m) / s and (1 - m) / s, shape (C, 1, 1)."""
        mean, std = self._shaped(self.mean, like), self._shaped(self.std, like)
        return -mean / std, (1 - mean) / std


class Split(ABC):
    """Images and labels of one split. Small ones lie in memory (or a memory map), large ones are decoded as asked."""

    labels: Tensor  # int64 (N,), indices into the dataset's classes

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def take(self, indices: Tensor) -> Tensor:
        """uint8 (len(indices), C, H, W), in the order asked for."""

    def chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images and labels in order, at most `size` at a time."""
        for start in range(0, len(self), size):
            indices = torch.arange(start, min(start + size, len(self)))
            yield self.take(indices), self.labels[indices]

    def of_classes(self, classes: Sequence[int]) -> "Split":
        """The images of these classes alone, relabelled 0.. in the order given."""
        new = torch.full((int(self.labels.max()) + 1,), -1, dtype=torch.int64)
        new[torch.tensor(classes)] = torch.arange(len(classes))
        kept = torch.nonzero(new[self.labels] >= 0).flatten()
        return Selection(self, kept, new[self.labels[kept]])


@dataclass
class TensorSplit(Split):
    """A split held as one uint8 tensor (N, C, H, W), which may be memory-mapped."""

    images: Tensor
    labels: Tensor

    def take(self, indices: Tensor) -> Tensor:
        return self.images[indices]


@dataclass
class Selection(Split):
    """Some images of another split under new labels; nothing is copied until they are taken."""

    base: Split
    indices: Tensor
    labels: Tensor

    def take(self, indices: Tensor) -> Tensor:
        return self.base.take(self.indices[indices])


@dataclass(frozen=True)
class Dataset:
    """A dataset ready for use. `classes` are the class ids in use, in order; `class_names` says what they are."""

    name: str
    card_hash: str
    resolution: int
    channels: int
    classes: tuple[str, ...]
    class_names: tuple[str, ...]
    normalisation: Normalisation
    train: Split
    test: Split

    @property
    def class_order_hash(self) -> str:
        """Hash of the class ids in order. Sets and teachers with another hash do not fit this dataset."""
        return digest(list(self.classes))

    def only(self, selected: Sequence[str]) -> "Dataset":
        """The dataset restricted to some class ids, which keep their sorted order."""
        positions = sorted(self.classes.index(name) for name in selected)
        return Dataset(
            name=self.name,
            card_hash=self.card_hash,
            resolution=self.resolution,
            channels=self.channels,
            classes=tuple(self.classes[position] for position in positions),
            class_names=tuple(self.class_names[position] for position in positions),
            normalisation=self.normalisation,
            train=self.train.of_classes(positions),
            test=self.test.of_classes(positions),
        )


@dataclass(frozen=True)
class Source:
    """Where a reader found a dataset.

    Attributes:
        layout: name of the reader.
        files: every file whose content decides the images, for the cache's key.
        classes: the class ids in sorted order.
        options: the source card's options.
        root: the folder they are relative to.
    """

    layout: str
    root: Path
    files: tuple[Path, ...]
    classes: tuple[str, ...]
    options: dict[str, Any]


class Reader(ABC):
    """Knows one layout on disk.

    You must write `looked_for`, `locate`, `labels` and `encoded`. `Options` (pydantic) names the options it takes.
    """

    Options: ClassVar[type[BaseModel]]

    @abstractmethod
    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """What would have to be below the data root, for the message when it is not."""

    @abstractmethod
    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """The source below `root`, or None where this layout is not there. Reads no image."""

    @abstractmethod
    def labels(self, source: Source, split: SplitName) -> Tensor:
        """int64 (N,): the class index of each image of the split. Reads no image."""

    @abstractmethod
    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """For each index: a name for messages, and either encoded bytes (JPEG, PNG) or a uint8 array (C, H, W)."""
