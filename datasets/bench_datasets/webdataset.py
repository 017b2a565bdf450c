"""WebDataset's shards: tar files whose samples are an image and a number, `000000.png` and `000000.cls`."""

import re
import tarfile
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate, chain
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from bench.data.datasets import DatasetCard, Reader, Source, SourceCard, SplitName
from bench.data.places import SPLITS, Place, chosen
from bench.errors import RunFailure, UsageError, why
from bench_datasets.parquet import Patterns, matching

IMAGES = ("png", "jpg", "jpeg", "webp", "bmp")  # suffixes of what is decoded
LARGEST = 1 << 28  # bytes of an image
LONGEST_LABEL = 20  # bytes of a number
_META = re.compile(r"__[^/]*__")  # names of members that are about a shard


class WebDatasetOptions(BaseModel):
    """What a source card may say.

    Attributes:
        path: the folder, below the data root or beside the card.
        train, test: patterns of the splits' shards below it, as of `parquet`.
        label: the suffix of the labels' files, which hold a number in figures.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: Place = "."
    train: Patterns = ("train*.tar",)
    test: Patterns = ("test*.tar", "val*.tar")
    label: str = "cls"


@dataclass(frozen=True)
class Sample:
    """An image of a shard: its name there, where its bytes lie in the file, how many they are, and its label."""

    name: str
    start: int
    size: int
    label: int


class WebDatasetReader(Reader):
    """Reads shards that are not compressed. Label i is the i-th of the card's `class_ids` as written there."""

    version = 2  # 1 read of samples with one key the last alone
    names_classes = False
    Options = WebDatasetOptions

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """The patterns."""
        options = WebDatasetOptions.model_validate(source.options)
        return " or ".join(str(Path(options.path, pattern)) for pattern in options.train or options.test)

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """Shards of either split; none is opened."""
        options = WebDatasetOptions.model_validate(source.options)
        folder = root / options.path
        matched = {split: chosen(options, split, partial(matching, folder), folder) for split in SPLITS}
        files = {split: tuple(chain.from_iterable(found)) for split, found in matched.items() if found}
        if not files:
            return None
        if card.class_ids is None:
            raise UsageError(f"shards of {source.layout} know numbers alone: the card must list class_ids")
        every = list(chain.from_iterable(files.values()))
        if twice := [path for path in every if every.count(path) > 1]:
            raise UsageError(f"{twice[0]} is read twice")
        known = {**options.model_dump(), "class_ids": list(card.class_ids)}
        return Source(source.layout, folder, files, tuple(sorted(card.class_ids)), known)

    def labels(self, source: Source, split: SplitName) -> Tensor:
        """Reads the numbers."""
        written, rank = source.options["class_ids"], {name: index for index, name in enumerate(source.classes)}
        found = []
        for path in source.files[split]:
            for sample in _samples(path, source.options["label"]):
                if sample.label >= len(written):
                    raise RunFailure(f"corrupt file: {path} {sample.name} has label {sample.label}, which is no class")
                found.append(rank[written[sample.label]])
        return torch.tensor(found, dtype=torch.int64)

    def label_order(self, source: Source) -> Sequence[str | int]:
        """Numbers are all that the files know."""
        return range(len(source.classes))

    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """Reads each image's bytes from where they lie."""
        shards = [(path, _samples(path, source.options["label"])) for path in source.files[split]]
        ends = list(accumulate(len(samples) for _, samples in shards))
        for index in indices:
            number = bisect_right(ends, index)
            path, samples = shards[number]
            sample = samples[index - (ends[number - 1] if number else 0)]
            yield f"{path} {sample.name}", _bytes(path, sample)


def _bytes(path: Path, sample: Sample) -> bytes:
    with path.open("rb") as file:
        file.seek(sample.start)
        return file.read(sample.size)


def _samples(path: Path, label: str) -> tuple[Sample, ...]:
    about = path.stat()
    return _read(path, label, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4096)
def _read(path: Path, label: str, _changed: int, size: int) -> tuple[Sample, ...]:
    """The samples of a shard, in its order.

    Raises:
        RunFailure: it is no tar file, is cut short, a sample has not one image and one label, or two have one key.
    """
    parts: dict[str, dict[str, tarfile.TarInfo]] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.isreg():
                    place = PurePosixPath(member.name)
                    key, _, suffix = place.name.partition(".")
                    if key and suffix and not _META.fullmatch(key):  # as the library itself passes them by
                        sample = parts.setdefault(str(place.with_name(key)), {})
                        _refuse_another(path, member, sample.setdefault(suffix.lower(), member))
    except (tarfile.TarError, OSError, ValueError) as error:
        raise RunFailure(f"corrupt file: {path} is no whole tar file: {why(error)}") from error
    with path.open("rb") as file:
        return tuple(_sample(path, key, found, file, label, size) for key, found in parts.items())


def _refuse_another(path: Path, member: tarfile.TarInfo, first: tarfile.TarInfo) -> None:
    """Two samples of one key, as in shards that were joined, are no sample and not two: which labels go with what?"""
    if member is not first:
        also = f", also as {first.name}" if first.name != member.name else ""
        raise RunFailure(f"corrupt file: {path} holds {member.name} twice{also}: each sample needs a key of its own")


def _sample(
    path: Path,
    key: str,
    found: Mapping[str, tarfile.TarInfo],
    file: Any,  # noqa: ANN401 - an open file
    label: str,
    size: int,
) -> Sample:
    images = [member for suffix, member in found.items() if suffix in IMAGES]
    if len(images) != 1 or label not in found:
        raise RunFailure(f"corrupt file: {path} {key} has {len(images)} images and suffixes {', '.join(sorted(found))}")
    (image,), number = images, found[label]
    if image.size > LARGEST or any(each.issparse() or each.offset_data + each.size > size for each in (image, number)):
        raise RunFailure(f"corrupt file: {path} {key} is cut short, sparse, or too large for an image")
    file.seek(number.offset_data)
    text = file.read(min(number.size, LONGEST_LABEL + 1)).strip()
    if not text.isdigit() or len(text) > LONGEST_LABEL:
        raise RunFailure(f"corrupt file: {path} {key} has the label {text!r}, which is no number")
    return Sample(image.name, image.offset_data, image.size, int(text))
