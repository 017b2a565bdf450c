"""Whether a dataset on disk is whole: checksums where they are known, classes, counts, and every image decoded."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from bench.data.cards import DatasetCard, SplitName
from bench.data.completeness import lacks
from bench.data.datasets import Source
from bench.data.decoding import DecodedForm, Decoder, decoded, in_threads
from bench.data.finding import FoundSource, find_source, load_card
from bench.data.fingerprints import Fingerprints
from bench.data.held_out import Part, parts_of
from bench.data.identity import known_as
from bench.data.opening import check_count, missing_split
from bench.data.places import SPLITS
from bench.errors import RunFailure
from bench.extensions.registry import Registry
from bench.progress import Progress, Throttled
from bench.storage.files import digest

_PIECE = 512  # images decoded at a time
_ORIENTATION, _UPRIGHT = 0x0112, 1  # EXIF's tag, and its value for an image that needs no turning


@dataclass(frozen=True)
class SplitReport:
    """One split: how many images, fewest and most of a class, what is wrong with images that cannot be read.

    `turned` is how many have an EXIF orientation that viewers follow and decoding does not.
    """

    name: SplitName
    images: int
    fewest: int
    most: int
    broken: tuple[str, ...]
    turned: int


@dataclass(frozen=True)
class DatasetReport:
    """What was found.

    Attributes:
        files, checked: how many there are, and of how many the checksum is known; all of those match.
        lacking: what keeps every run from using it, a line each.
        split: how the test split was cut out of train, or None.
    """

    name: str
    source: Source
    class_order: str
    files: int
    checked: int
    splits: tuple[SplitReport, ...]
    lacking: tuple[str, ...]
    split: str | None

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
    return DatasetReport(
        name=card.name,
        source=found.source,
        class_order=digest(list(found.source.classes)),
        files=len({path for paths in found.source.files.values() for path in paths}),
        checked=len(found.source.checksums),
        splits=tuple(_verify_split(card, found, name, parts[name], Throttled(progress)) for name in sorted(parts)),
        lacking=tuple(_lacking(card, found, {name: part.labels for name, part in parts.items()})),
        split=str(card.split) if card.split else None,
    )


def _lacking(card: DatasetCard, found: FoundSource, labels: dict[SplitName, Tensor]) -> Iterator[str]:
    yield from (missing_split(card, found, name) for name in SPLITS if name not in labels)
    yield from lacks(found.source.classes, labels)


def _verify_split(
    card: DatasetCard, found: FoundSource, name: SplitName, part: Part, progress: Progress
) -> SplitReport:
    counts = torch.bincount(part.labels, minlength=len(found.source.classes))
    decoder = Decoder(found.reader, found.source, part.origin, DecodedForm.of(card))
    looked = _Looked()
    for each in _look(decoder, name, part.indices, progress):
        looked.broken += each.broken
        looked.turned += each.turned
    fewest, most = int(counts.min()), int(counts.max())
    return SplitReport(name, len(part.labels), fewest, most, tuple(looked.broken), looked.turned)


@dataclass
class _Looked:
    """What is wrong with images that cannot be read, and how many are turned."""

    broken: list[str] = field(default_factory=list)
    turned: int = 0


def _look(decoder: Decoder, name: SplitName, indices: Tensor, progress: Progress) -> Iterator[_Looked]:
    """Decodes all of these images, a piece at a time in threads."""
    pieces, done = indices.split(_PIECE), 0
    for number, looked in in_threads(lambda number: _look_at(decoder, pieces[number].tolist()), range(len(pieces))):
        done += len(pieces[number])
        progress.advance(f"verify {name} images", done, len(indices))
        yield looked


def _look_at(decoder: Decoder, piece: list[int]) -> _Looked:
    """A reader stops at the first image that it cannot read; the others of the piece are then looked at one by one."""
    turned = 0
    try:
        for name, encoded in decoder.reader.encoded(decoder.source, decoder.split, piece):
            decoded(name, encoded, decoder.view)
            turned += _is_turned(encoded)
        return _Looked(turned=turned)
    except RunFailure as failure:
        if len(piece) == 1:
            return _Looked([str(failure)])
    alone = [_look_at(decoder, [index]) for index in piece]
    return _Looked([reason for each in alone for reason in each.broken], sum(each.turned for each in alone))


def _is_turned(encoded: Any) -> bool:  # noqa: ANN401 - bytes or an array, see Reader.encoded
    if not isinstance(encoded, bytes):
        return False
    with Image.open(io.BytesIO(encoded)) as image:
        return bool(image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT)
