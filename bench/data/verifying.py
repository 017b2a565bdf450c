"""Whether a dataset on disk is whole: checksums where they are known, classes, counts, and every image decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from bench.cards import DatasetCard, SplitName
from bench.data.decoding import Decoder, View, in_threads
from bench.data.fingerprints import Fingerprints
from bench.data.opening import Found, check_count, find_source, load_card
from bench.errors import RunFailure
from bench.files import digest
from bench.imagery import Source
from bench.plugins import Registry
from bench.progress import Progress, Throttled

MOST_NAMED = 20
_PIECE = 512  # images decoded at a time


@dataclass(frozen=True)
class SplitReport:
    """One split: how many images, fewest and most of a class, and what is wrong with images that cannot be read."""

    name: SplitName
    images: int
    fewest: int
    most: int
    broken: tuple[str, ...]


@dataclass(frozen=True)
class DatasetReport:
    """What was found. `checked` is how many of the `files` have a known checksum; all of those match."""

    name: str
    source: Source
    class_order: str
    files: int
    checked: int
    splits: tuple[SplitReport, ...]

    @property
    def whole(self) -> bool:
        """Whether every image could be read."""
        return not any(split.broken for split in self.splits)


def verify(registry: Registry, name_or_path: str, root: Path, progress: Progress) -> DatasetReport:
    """Reads the whole dataset, whatever the cache holds. Keeps nothing.

    Raises:
        UsageError: a wrong card, nothing below the root, other classes or counts than the card's.
        RunFailure: a file with another checksum, or one that cannot be read at all.
    """
    card = load_card(registry, name_or_path)
    found = find_source(registry, name_or_path, card, root)
    with TemporaryDirectory() as nothing_remembered:
        for name in found.source.files:
            Fingerprints(Path(nothing_remembered)).verify(found.source, name, "")
    return DatasetReport(
        name=card.name,
        source=found.source,
        class_order=digest(list(found.source.classes)),
        files=len({path for paths in found.source.files.values() for path in paths}),
        checked=len(found.source.checksums),
        splits=tuple(_verify_split(card, found, name, Throttled(progress)) for name in sorted(found.source.files)),
    )


def _verify_split(card: DatasetCard, found: Found, name: SplitName, progress: Progress) -> SplitReport:
    labels = found.reader.labels(found.source, name)
    check_count(card, found.source, name, len(labels))
    counts = torch.bincount(labels, minlength=len(found.source.classes))
    decoder = Decoder(found.reader, found.source, name, View.of(card))
    broken = tuple(islice(_broken(decoder, len(labels), progress), MOST_NAMED))
    return SplitReport(name, len(labels), int(counts.min()), int(counts.max()), broken)


def _broken(decoder: Decoder, count: int, progress: Progress) -> Iterator[str]:
    """What is wrong with each image that cannot be read."""
    pieces = [range(start, min(start + _PIECE, count)) for start in range(0, count, _PIECE)]
    found = in_threads(lambda number: _broken_of(decoder, pieces[number]), range(len(pieces)))
    for done, (_, reasons) in enumerate(found, start=1):
        progress.advance(f"verify {decoder.split} images", min(done * _PIECE, count), count)
        yield from reasons


def _broken_of(decoder: Decoder, piece: range) -> list[str]:
    try:
        decoder.decode(piece)
        return []
    except RunFailure as failure:
        if len(piece) == 1:
            return [str(failure)]
    return [reason for index in piece for reason in _broken_of(decoder, range(index, index + 1))]
