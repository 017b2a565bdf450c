"""Parquet files in the columns of Hugging Face datasets: an image (struct of bytes and path) and a label."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from torch import Tensor

from bench.data.datasets import DatasetCard, Reader, Source, SourceCard, SplitName
from bench.data.folders import is_dropping, require_utf8
from bench.data.places import SPLITS, Place, Places, chosen
from bench.errors import RunFailure, UsageError
from bench.storage.names import brief
from bench.storage.users_files import regular
from bench_datasets.parquet_schema import check_all_named, check_columns, first_names, image_column, names_of, readable

UNLABELLED = -1  # what Hugging Face's ImageNet-1K has in its test split
MOST_ROWS = 100_000_000  # of a file, which may say few labels many times in few bytes
_BEGINS = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff"}  # a file of that form
_SUM = re.compile(r"([0-9a-fA-F]{64})\s+\*?(\S.*)")


def _patterns(given: tuple[str, ...]) -> tuple[str, ...]:
    """Refuses what a folder cannot be searched for: nothing at all, what lies above it, or stars in odd places."""
    for each in given:
        parts = PurePath(each).parts
        if not parts or ".." in parts or any("**" in part and part != "**" for part in parts):
            raise ValueError(f"{brief(each)} is no pattern of files below path, as train*.parquet is")
    return given


Patterns = Annotated[Places, AfterValidator(_patterns)]


class ParquetOptions(BaseModel):
    """What a source card may say.

    Attributes:
        path: the folder, below the data root or beside the card.
        train, test: patterns of the splits' files below it. A list that a card gives is a union: the files of all of
            them, each of which must match some. Of the patterns that stand here the first that matches counts.
        image, label: the columns. Images are bytes, or a struct with a field `bytes`; labels are integers or strings.
            The images' column is `image` or else `img` where a card does not say it.
        form: what the images are encoded as. Files whose first image is of another form are passed by, for what is
            published in several.
        renamed: what names of the metadata are called here, where they are not the card's ids.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: Place = "."
    train: Patterns = ("train*.parquet", "data/train*.parquet")
    test: Patterns = ("test*.parquet", "data/test*.parquet", "val*.parquet", "data/val*.parquet")
    image: str | None = None
    label: str = "label"
    form: Literal["png", "jpeg"] | None = None
    renamed: dict[str, str] = Field(default_factory=dict)


class ParquetReader(Reader):
    """Reads them. Class ids come from the `huggingface` metadata of the schema, from the card, or from the labels.

    - With metadata, label i is the i-th of its names.
    - Without, integer label i is the i-th of the card's `class_ids` as written there.
    - With neither, strings are their own ids, and integers become ids of equal width ("07"), which sort as they do.

    What a file `SHA256SUMS` in the folder says of them is checked.
    """

    Options = ParquetOptions

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """The patterns."""
        options = ParquetOptions.model_validate(source.options)
        said = " or ".join(str(Path(options.path, pattern)) for pattern in options.train or options.test)
        return f"{said} of {options.form.upper()} images" if options.form else said

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """Files of either split; reads their schemas."""
        options = ParquetOptions.model_validate(source.options)
        folder = root / options.path
        matched = {split: chosen(options, split, partial(matching, folder), folder) for split in SPLITS}
        files = {split: _each_once(found) for split, found in matched.items() if found}
        if not files:
            return None
        paths = [path for each in files.values() for path in each]
        image = options.image or image_column(paths)
        if options.form and not _are(options.form, paths, image):
            return None
        _refuse_shared(files)
        check_columns(paths, image, options.label)
        written = None if card.class_ids is None else list(card.class_ids)
        if written is None:
            check_all_named(paths, options.label)
        known = {**options.model_dump(), "image": image, "class_ids": written}
        checksums = _checksums(folder, paths)
        return Source(source.layout, folder, files, _classes(paths, options, written), known, checksums)

    def labels(self, source: Source, split: SplitName) -> Tensor:
        """Reads the label column."""
        rank: dict[str | None, int] = {name: index for index, name in enumerate(source.classes)}
        column, width, found = source.options["label"], len(source.classes[0]), []
        for path in source.files[split]:
            names = names_of(path, column, source.options["renamed"]) or source.options["class_ids"]
            labels = _labels(path, column)
            if set(labels) == {UNLABELLED}:
                raise RunFailure(f"{path} has no labels ({UNLABELLED}): the card's options may name another {split}")
            for row, label in enumerate(labels):
                index = rank.get(_class_id(label, names, width))
                if index is None:
                    raise RunFailure(f"corrupt file: {path} row {row} has the label {label!r}, which is no class")
                found.append(index)
        return torch.tensor(found, dtype=torch.int64)

    def label_order(self, source: Source) -> Sequence[str | int]:
        """The names of the metadata in label order; without any, the labels themselves: text or numbers."""
        paths, column = source.files["train"], source.options["label"]
        names = first_names(paths, column, source.options["renamed"]) or source.options["class_ids"]
        if names is not None:
            return tuple(names)
        numbers = all(isinstance(label, int) for label in _labels(paths[0], column))
        return tuple(int(name) for name in source.classes) if numbers else source.classes

    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """Reads whole row groups, each once for a run of ascending indices."""
        groups = _row_groups(source.files[split])
        starts = [group.start for group in groups]
        held, images = -1, pa.array([])
        for index in indices:
            number = bisect_right(starts, index) - 1
            group = groups[number]
            if number != held:
                held, images = number, _images(group, source.options["image"])
            name = f"{group.path} row {group.first_row + index - group.start}"
            yield name, _bytes(name, images[index - group.start].as_py())


@dataclass(frozen=True)
class RowGroup:
    """A row group: its file, its number there, its first row there, and the index of that row in the split."""

    path: Path
    number: int
    first_row: int
    start: int


def matching(folder: Path, pattern: str) -> tuple[Path, ...]:
    """The regular files of a pattern, sorted, without what systems leave in folders ("._train-0.parquet")."""
    found = sorted(path for path in folder.glob(pattern) if not any(map(is_dropping, path.relative_to(folder).parts)))
    for path in found:
        require_utf8(path)
        regular(path)
    return tuple(found)


def _each_once(matched: Sequence[tuple[Path, ...]]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path for found in matched for path in found))


def _refuse_shared(files: Mapping[SplitName, tuple[Path, ...]]) -> None:
    """Refuses a file that is read twice, under two names or for two splits."""
    seen: dict[Path, Path] = {}
    for path in (path for found in files.values() for path in found):
        if (first := seen.setdefault(path.resolve(), path)) is not path:
            raise UsageError(f"{path} is read twice" + (f", also as {first}" if first != path else " (train and test)"))


def _row_groups(paths: Sequence[Path]) -> list[RowGroup]:
    groups: list[RowGroup] = []
    start = 0
    for path in paths:
        with readable(path):
            metadata = pq.read_metadata(path)
        first_row = 0
        for number in range(metadata.num_row_groups):
            groups.append(RowGroup(path, number, first_row, start + first_row))
            first_row += metadata.row_group(number).num_rows
        start += first_row
    return groups


def _images(group: RowGroup, column: str) -> pa.Array:
    with readable(group.path), pq.ParquetFile(group.path) as file:
        table = file.read_row_group(group.number, columns=[column])
    return _encoded(table.column(column).combine_chunks())


def _encoded(images: pa.Array) -> pa.Array:
    return images.field("bytes") if pa.types.is_struct(images.type) else images


def _bytes(name: str, value: object) -> bytes:
    if not isinstance(value, bytes):
        raise RunFailure(f"corrupt image: {name} holds no bytes")
    return value


def _labels(path: Path, column: str) -> list[int | str | None]:
    with readable(path), pq.ParquetFile(path) as file:
        if (rows := file.metadata.num_rows) > MOST_ROWS:
            raise UsageError(f"{path} has {rows:,} rows, more than the {MOST_ROWS:,} that are read")
        labels: list[int | str | None] = file.read(columns=[column]).column(column).to_pylist()
    return labels


def _are(form: str, paths: Sequence[Path], column: str) -> bool:
    """Whether the first image is encoded so, or none can be read, which is told when it is wanted."""
    for path in paths:
        with suppress(RunFailure, KeyError, StopIteration), readable(path), pq.ParquetFile(path) as file:
            (first,) = _encoded(next(file.iter_batches(1, columns=[column])).column(column)).to_pylist()
            return _bytes(str(path), first).startswith(_BEGINS[form])
    return True


def _classes(paths: Sequence[Path], options: ParquetOptions, written: list[str] | None) -> tuple[str, ...]:
    if (names := first_names(paths, options.label, options.renamed) or written) is not None:
        return tuple(sorted(names))
    labels = {label for path in paths for label in _own_ids(path, options.label)}
    if not labels:
        raise UsageError(f"{paths[0].parent} holds no labelled row")
    width = max(len(str(label)) for label in labels)
    return tuple(sorted(_class_id(label, None, width) or "" for label in labels))


def _own_ids(path: Path, column: str) -> set[int | str]:
    """The labels of a file whose labels are their own ids; none where it has none, as the test splits of contests.

    Raises:
        RunFailure: a label that marks a row as unlabelled beside others that are labels.
    """
    labels = _labels(path, column)
    if set(labels) == {UNLABELLED}:
        return set()
    for row, label in enumerate(labels):
        if label == "" or (isinstance(label, int) and label < 0):
            raise RunFailure(f"corrupt file: {path} row {row} has the label {label!r}, which can be no class")
    return {label for label in labels if label is not None}


def _class_id(label: int | str | None, names: Sequence[str] | None, width: int) -> str | None:
    """The id that a label stands for, or None where it stands for nothing. `width` is of ids made from integers."""
    if label is None or isinstance(label, str):
        return label
    if names is None:
        return f"{label:0{width}}"
    return names[label] if 0 <= label < len(names) else None


def _checksums(folder: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """What `SHA256SUMS` in the folder says of these files.

    Raises:
        UsageError: it holds a line that is not as sha256sum writes them; the line is named.
    """
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        return {}
    lines = sums.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
    pairs = [_stated(sums, number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    stated = {folder / name: f"sha256:{checksum}" for checksum, name in pairs}
    return {path: stated[path] for path in paths if path in stated}


def _stated(sums: Path, number: int, line: str) -> tuple[str, str]:
    """Checksum and file of a line."""
    if not (found := _SUM.fullmatch(line)):
        raise UsageError(f"{sums}, line {number}: {brief(line)} is no SHA-256 of 64 hex digits and the name of a file")
    return found[1].lower(), found[2]
