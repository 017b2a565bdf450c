"""Whether a dataset on disk is whole: checksums where they are known, classes, counts, and every image decoded."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from bench.data.cards import DatasetCard, SplitName
from bench.data.completeness import lacks
from bench.data.datasets import Source
from bench.data.decoding import DecodedForm, Decoder, decoded, in_threads
from bench.data.finding import FoundSource, find_source, load_card
from bench.data.fingerprints import Fingerprints
from bench.data.held_out import Part, parts_of
from bench.data.identity import known_as
from bench.data.noteworthy import Contents, digest_of, left_out, notes_of
from bench.data.opening import check_count, missing_split
from bench.data.places import SPLITS
from bench.errors import RunFailure
from bench.extensions.registry import Registry
from bench.progress import Progress, Throttled
from bench.storage.files import digest

_PIECE = 512  # images decoded at a time


@dataclass(frozen=True)
class SplitReport:
    """One split: how many images, fewest and most of a class, what is wrong with images that cannot be read."""

    name: SplitName
    images: int
    fewest: int
    most: int
    broken: tuple[str, ...]


@dataclass(frozen=True)
class DatasetReport:
    """What was found.

    Attributes:
        files, checked: how many there are, and of how many the checksum is known; all of those match.
        lacking: what keeps every run from using it, a line each.
        split: how the test split was cut out of train, or None.
        notes: what is worth knowing of its images, though all can be read, a line each (`bench.data.noteworthy`).
    """

    name: str
    source: Source
    class_order: str
    files: int
    checked: int
    splits: tuple[SplitReport, ...]
    lacking: tuple[str, ...]
    split: str | None
    notes: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is lacking and every image could be read."""
        return not self.lacking and not any(split.broken for split in self.splits)


def verify(registry: Registry, name_or_path: str, root: Path, progress: Progress) -> DatasetReport:
    """Reads the whole dataset, whatever the cache holds. Keeps nothing.

    Raises:
        UsageError: a wrong card, one that is like no dataset of its shape, nothing below the root, other classes or
            counts than the card's.
        RunFailure: a file with another checksum, or one that cannot be read at all.
    """
    card = load_card(registry, name_or_path)
    found = find_source(registry, name_or_path, card, root)
    known_as(registry, card, len(found.source.classes))
    with TemporaryDirectory() as nothing_remembered:
        for name in found.source.files:
            Fingerprints(Path(nothing_remembered)).verify(found.source, name, "")
    parts = parts_of(card, found.reader, found.source)
    for name, part in parts.items():
        check_count(card, found.source, name, len(part.labels))
    looked = {name: _look(card, found, name, parts[name], Throttled(progress)) for name in sorted(parts)}
    left = sum((each.left_out for each in looked.values()), Counter[str]())
    return DatasetReport(
        name=card.name,
        source=found.source,
        class_order=digest(list(found.source.classes)),
        files=len({path for paths in found.source.files.values() for path in paths}),
        checked=len(found.source.checksums),
        splits=tuple(_reported(found, name, parts[name], each.broken) for name, each in looked.items()),
        lacking=tuple(_lacking(card, found, {name: part.labels for name, part in parts.items()})),
        split=str(card.split) if card.split else None,
        notes=tuple(notes_of(left, {name: each.contents(parts[name]) for name, each in looked.items()})),
    )


def _lacking(card: DatasetCard, found: FoundSource, labels: dict[SplitName, Tensor]) -> Iterator[str]:
    yield from (missing_split(card, found, name) for name in SPLITS if name not in labels)
    yield from lacks(found.source.classes, labels)


def _reported(found: FoundSource, name: SplitName, part: Part, broken: list[str]) -> SplitReport:
    counts = torch.bincount(part.labels, minlength=len(found.source.classes))
    return SplitReport(name, len(part.labels), int(counts.min()), int(counts.max()), tuple(broken))


@dataclass
class _Looked:
    """What is wrong with images that cannot be read; of others what decoding leaves out, and each index's digest."""

    decoder: Decoder
    broken: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    digests: dict[int, int] = field(default_factory=dict)

    def take(self, other: "_Looked") -> None:
        """Adds what was found of other images."""
        self.broken += other.broken
        self.left_out += other.left_out
        self.digests |= other.digests

    def contents(self, part: Part) -> Contents:
        """The images that can be read, in the split's order."""
        indices = np.array(sorted(self.digests), np.int64)
        labels = part.labels[np.searchsorted(part.indices.numpy(), indices)].numpy()
        return Contents(self.decoder, indices, labels, np.array([self.digests[each] for each in indices], np.uint64))


def _look(card: DatasetCard, found: FoundSource, name: SplitName, part: Part, progress: Progress) -> _Looked:
    """Decodes all images of a split, a piece at a time in threads."""
    decoder = Decoder(found.reader, found.source, part.origin, DecodedForm.of(card))
    pieces, done, looked = part.indices.split(_PIECE), 0, _Looked(decoder)
    for number, each in in_threads(lambda number: _look_at(decoder, pieces[number].tolist()), range(len(pieces))):
        done += len(pieces[number])
        progress.advance(f"verify {name} images", done, len(part.indices))
        looked.take(each)
    return looked


def _look_at(decoder: Decoder, piece: list[int]) -> _Looked:
    """A reader stops at the first image that it cannot read; the others of the piece are then looked at one by one."""
    looked = _Looked(decoder)
    try:
        for index, (name, encoded) in zip(piece, decoder.encoded(piece), strict=True):
            decoded(name, encoded, decoder.view)
            looked.left_out += left_out(encoded)
            looked.digests[index] = digest_of(encoded)
        return looked
    except RunFailure as failure:
        if len(piece) == 1:
            return _Looked(decoder, [str(failure)])
    looked = _Looked(decoder)
    for index in piece:
        looked.take(_look_at(decoder, [index]))
    return looked
