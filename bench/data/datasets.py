"""Datasets as the harness sees them: a card, splits of uint8 images, classes in one order, normalisation.

A dataset is a card (`DatasetCard`: what it is, from TOML) plus a reader (`Reader`: where its images lie in one
layout on disk). Opening goes card -> `Reader.locate` -> `Source` -> `Dataset`; see `bench.data.opening`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import BaseModel
from torch import Tensor

from bench.data.cards import DatasetCard as DatasetCard
from bench.data.cards import Elsewhere as Elsewhere
from bench.data.cards import Fetch as Fetch
from bench.data.cards import SourceCard as SourceCard
from bench.data.cards import SplitName as SplitName
from bench.data.preprocessing import Normalisation as Normalisation
from bench.data.preprocessing import Preprocessing as Preprocessing
from bench.recipes import Budget, Setting
from bench.storage import paging
from bench.storage.files import digest


class Split(ABC):
    """Images and labels of one split. Small ones lie in memory (or a memory map), large ones are decoded as asked."""

    labels: Tensor  # int64 (N,), indices into the dataset's classes

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def take(self, indices: Tensor) -> Tensor:
        """uint8 (len(indices), C, H, W), in the order asked for."""

    def originals(self, indices: Tensor) -> list[Tensor]:
        """The images as their files have them, before they are made to be of one size: uint8 (C, h, w) each.

        They are decoded anew every time. Those of `take`, where there are no files.
        """
        return list(self.take(indices))

    def ready(self) -> bool:
        """Does what the first `take` would do once for all, as decoding into the cache: at nobody's cost.

        Returns:
            Whether it was this process that did it, now or before; most splits have nothing to do.
        """
        return False

    def held(self) -> Tensor | None:
        """All images as `take` gives them, where they lie in memory or in a mapped file; None where none do.

        A class that gives other images by `take` than the one that it is made of says so here, too.
        """
        return None

    def moved(self, device: torch.device, room: int) -> "Split":
        """The split with its images on the device, if they are held and take `room` bytes at most; or else itself."""
        images = self.held()
        if images is None or images.nbytes > room:
            return self
        there = TensorSplit(images.to(device), self.labels)
        paging.release(images, unchanged=True)
        return there

    def chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images and labels in order, at most `size` at a time."""
        for start in range(0, len(self), size):
            indices = torch.arange(start, min(start + size, len(self)))
            yield self.take(indices), self.labels[indices]

    def of_classes(self, classes: Sequence[int]) -> "Split":
        """The images of these classes alone, relabelled 0.. in the order given."""
        highest = max(*classes, int(self.labels.max()) if len(self) else 0)
        new = torch.full((highest + 1,), -1, dtype=torch.int64)
        new[torch.tensor(classes)] = torch.arange(len(classes))
        kept = torch.nonzero(new[self.labels] >= 0).flatten()
        return Selection(self, kept, new[self.labels[kept]])


@dataclass
class TensorSplit(Split):
    """A split held as one tensor (N, C, H, W); of a large one, in a mapped file, what was taken is given back."""

    images: Tensor
    labels: Tensor
    _passage: paging.Passage = field(default_factory=lambda: paging.Passage(unchanged=True), init=False, repr=False)

    def take(self, indices: Tensor) -> Tensor:
        images = paging.taken(self.images, indices)
        if self.images.nbytes >= paging.LARGE:
            self._passage.use(images.nbytes, [self.images])
        return images

    def held(self) -> Tensor:
        return self.images


@dataclass
class Selection(Split):
    """Some images of another split under new labels; nothing is copied until they are taken."""

    base: Split
    indices: Tensor
    labels: Tensor

    def take(self, indices: Tensor) -> Tensor:
        return self.base.take(self.indices[indices])

    def moved(self, device: torch.device, room: int) -> Split:
        base, indices = self.base, self.indices
        while isinstance(base, Selection):  # some classes of a split that was cut out of another
            indices, base = base.indices[indices], base.base
        whole = base.held()
        if whole is None or len(self) * whole[:1].nbytes > room:
            return self
        return TensorSplit(paging.taken(whole, indices), self.labels).moved(device, room)

    def originals(self, indices: Tensor) -> list[Tensor]:
        return self.base.originals(self.indices[indices])

    def ready(self) -> bool:
        return self.base.ready()


@dataclass(frozen=True)
class Dataset:
    """A dataset ready for use.

    Attributes:
        classes: the class ids in use, in order; `class_names` says what they are.
        normalisation: how every network sees the images; `replace(dataset, normalisation=whitening)` is the whitened
            dataset.
        own_normalisation: its card's, which stays when another takes its place; by default `normalisation`.
        known_as: the name under which recipes and claims know it (see `bench.data.identity`), or None.
        split: how the test split was cut out of train, in words, or None where the source has its own.
        source: the layout that its images were read from, where it was read from one.
        source_differs: in what these are not the images of the card's other sources, in words, or None.
        elsewhere: how others keep their sets of it, where the card says so.
    """

    name: str
    card_hash: str
    resolution: int
    channels: int
    classes: tuple[str, ...]
    class_names: tuple[str, ...]
    normalisation: Preprocessing
    train: Split
    test: Split
    own_normalisation: Preprocessing | None = None
    known_as: str | None = None
    split: str | None = None
    source: str | None = None
    source_differs: str | None = None
    elsewhere: Elsewhere | None = None

    def __post_init__(self) -> None:
        if self.own_normalisation is None:
            object.__setattr__(self, "own_normalisation", self.normalisation)

    @property
    def preprocessing_key(self) -> dict[str, str]:
        """What keys of stages say of the preprocessing: nothing of the card's own, which the card's hash covers."""
        own = self.normalisation == self.own_normalisation
        return {} if own else {"preprocessing": self.normalisation.digest}

    @property
    def class_order_hash(self) -> str:
        """Hash of the class ids in order. Sets and teachers with another hash do not fit this dataset."""
        return digest(list(self.classes))

    def setting(self, ipc: int, backbone: str, budget: Budget = "paper") -> Setting:
        """What recipes for it depend on."""
        return Setting.of(self, self.known_as, len(self.classes), ipc, backbone, budget)

    def ready(self) -> bool:
        """Does for both splits what their first `take` would do once for all; whether this process did any of it.

        A split that was never decoded needs its reader, and the libraries of that, for its labels alone.
        """
        train, test = self.train.ready(), self.test.ready()
        return train or test

    def only(self, selected: Sequence[str]) -> "Dataset":
        """The dataset restricted to some class ids, which keep their sorted order."""
        positions = sorted(self.classes.index(name) for name in selected)
        return replace(
            self,
            classes=tuple(self.classes[position] for position in positions),
            class_names=tuple(self.class_names[position] for position in positions),
            train=self.train.of_classes(positions),
            test=self.test.of_classes(positions),
        )


@dataclass(frozen=True)
class Source:
    """Where a reader found a dataset.

    Attributes:
        layout: name of the reader.
        root: the folder that file names in messages and digests are relative to.
        files: of each split that is there, every file whose content decides its images.
        classes: the class ids in sorted order.
        options: the source card's options, checked, and whatever else the reader must know and the images depend on.
        checksums: "algorithm:hex" of the files where it is known; they are checked before anything is read.
        notes: what the user should know of what lies there and is left out, a line each.
    """

    layout: str
    root: Path
    files: Mapping[SplitName, tuple[Path, ...]]
    classes: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    checksums: Mapping[Path, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Reader(ABC):
    """Knows one layout on disk.

    You must write `looked_for`, `locate`, `labels` and `encoded`. `Options` (pydantic) names the options it takes.
    You may write `fetch`, where the layout's address is known elsewhere than in cards, or `fetches`, where there are
    several files; `label_order`, where labels have an order of their own in the files; and `advice`, for what lies
    otherwise than is looked for. Raise `version` when the same files come to give other images: decoded images of older
    versions are then left alone.

    Attributes:
        names_classes: whether the files say what their classes are called; False where the card must list `class_ids`.
    """

    version: ClassVar[int] = 1
    names_classes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]]

    @abstractmethod
    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """What would have to be below the data root, for the message when it is not."""

    @abstractmethod
    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """The source below `root`, or None where this layout is not there. Reads no image.

        Raises:
            UsageError: it is there and is not what the card says.
        """

    @abstractmethod
    def labels(self, source: Source, split: SplitName) -> Tensor:
        """int64 (N,): the class index of each image of the split, which is there. Decodes no image.

        Raises:
            RunFailure: a damaged file, or a label that is no class; the message names file and row.
        """

    @abstractmethod
    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """For each index: a name for messages, and either encoded bytes (JPEG, PNG) or a uint8 array (C, H, W).

        Called from several threads at once, with ascending indices.

        Raises:
            RunFailure: a damaged file; the message names file and row.
        """

    def advice(self, card: DatasetCard, source: SourceCard, root: Path) -> str:
        """What the card could say to have what lies below its own folder read, where nothing was found; "" for nothing.

        It ends the message that nothing was found. Opens no file.
        """
        return ""

    def label_order(self, source: Source) -> Sequence[str | int]:
        """The source's classes in the order of their labels in the files; numbers where the files know numbers alone.

        A condensed set in this layout is understood by it (`bench.interchange.class_order`). Default: the sorted names.
        """
        return source.classes

    def fetch(self, card: DatasetCard, source: SourceCard) -> Fetch | None:
        """The official download that gives this layout, if there is one."""
        return source.fetch

    def fetches(self, card: DatasetCard, source: SourceCard) -> Sequence[Fetch]:
        """The official downloads that together give this layout; none where it cannot be fetched."""
        fetch = self.fetch(card, source)
        return [] if fetch is None else [fetch]
