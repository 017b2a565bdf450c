"""Parquet files in the columns of Hugging Face datasets: an image (struct of bytes and path) and a label."""

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from bench.data.folders import is_dropping, require_utf8
from bench.data.places import SPLITS, Places, chosen
from bench.errors import RunFailure, UsageError, why
from bench.imagery import DatasetCard, Reader, Source, SourceCard, SplitName


class ParquetOptions(BaseModel):
    """What a source card may say.

    Attributes:
        path: the folder, below the data root or beside the card.
        train, test: patterns of the splits' files below it. A list that a card gives is a union: the files of all of
            them, each of which must match some. Of the patterns that stand here the first that matches counts.
        image, label: the columns. Images are bytes, or a struct with a field `bytes`; labels are integers or strings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: str = "."
    train: Places = ("train*.parquet", "data/train*.parquet")
    test: Places = ("test*.parquet", "data/test*.parquet", "val*.parquet", "data/val*.parquet")
    image: str = "image"
    label: str = "label"


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
        return " or ".join(str(Path(options.path, pattern)) for pattern in options.train or options.test)

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """Files of either split; reads their schemas."""
        options = ParquetOptions.model_validate(source.options)
        folder = root / options.path
        matched = {split: chosen(options, split, partial(_matching, folder), folder) for split in SPLITS}
        files = {split: _each_once(found) for split, found in matched.items() if found}
        if not files:
            return None
        paths = [path for each in files.values() for path in each]
        _refuse_shared(files)
        _check_columns(paths, options)
        written = None if card.class_ids is None else list(card.class_ids)
        if written is None:
            _check_all_named(paths, options.label)
        known = {**options.model_dump(), "class_ids": written}
        checksums = _checksums(folder, paths)
        return Source(source.layout, folder, files, _classes(paths, options.label, written), known, checksums)

    def labels(self, source: Source, split: SplitName) -> Tensor:
        """Reads the label column."""
        rank: dict[str | None, int] = {name: index for index, name in enumerate(source.classes)}
        width, found = len(source.classes[0]), []
        for path in source.files[split]:
            names = _names(path, source.options["label"]) or source.options["class_ids"]
            for row, label in enumerate(_labels(path, source.options["label"])):
                index = rank.get(_class_id(label, names, width))
                if index is None:
                    raise RunFailure(f"corrupt file: {path} row {row} has the label {label!r}, which is no class")
                found.append(index)
        return torch.tensor(found, dtype=torch.int64)

    def label_order(self, source: Source) -> Sequence[str | int]:
        """The names of the metadata in label order; without any, the labels themselves: text or numbers."""
        paths, column = source.files["train"], source.options["label"]
        if (names := _first_names(paths, column) or source.options["class_ids"]) is not None:
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


def _matching(folder: Path, pattern: str) -> tuple[Path, ...]:
    """The files of a pattern, sorted, without what systems leave in folders ("._train-0.parquet")."""
    found = sorted(path for path in folder.glob(pattern) if not any(map(is_dropping, path.relative_to(folder).parts)))
    for path in found:
        require_utf8(path)
    return tuple(found)


def _each_once(matched: Sequence[tuple[Path, ...]]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path for found in matched for path in found))


def _refuse_shared(files: Mapping[SplitName, tuple[Path, ...]]) -> None:
    """Refuses a file that is read twice, under two names or for two splits."""
    seen: dict[Path, Path] = {}
    for path in (path for found in files.values() for path in found):
        if (first := seen.setdefault(path.resolve(), path)) is not path:
            raise UsageError(f"{path} is read twice" + (f", also as {first}" if first != path else " (train and test)"))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what pyarrow raises on a damaged file into a failure that names it."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise RunFailure(f"corrupt file: {path} is not readable as Parquet: {why(error)}") from error


def _row_groups(paths: Sequence[Path]) -> list[RowGroup]:
    groups: list[RowGroup] = []
    start = 0
    for path in paths:
        with _readable(path):
            metadata = pq.read_metadata(path)
        first_row = 0
        for number in range(metadata.num_row_groups):
            groups.append(RowGroup(path, number, first_row, start + first_row))
            first_row += metadata.row_group(number).num_rows
        start += first_row
    return groups


def _images(group: RowGroup, column: str) -> pa.Array:
    with _readable(group.path), pq.ParquetFile(group.path) as file:
        table = file.read_row_group(group.number, columns=[column])
    found = table.column(column).combine_chunks()
    return found.field("bytes") if pa.types.is_struct(found.type) else found


def _bytes(name: str, value: object) -> bytes:
    if not isinstance(value, bytes):
        raise RunFailure(f"corrupt image: {name} holds no bytes")
    return value


def _labels(path: Path, column: str) -> list[int | str | None]:
    with _readable(path):
        table = pq.read_table(path, columns=[column])
    labels: list[int | str | None] = table.column(column).to_pylist()
    return labels


def _names(path: Path, column: str) -> list[str] | None:
    """The names of the labels in the file's `huggingface` metadata, in label order."""
    schema = _schema(path)
    _require_column(path, schema, column)
    try:
        about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except ValueError as error:
        raise RunFailure(f"corrupt file: the huggingface metadata of {path} is not JSON: {error}") from error
    feature = about.get("info", {}).get("features", {}).get(column, {})
    names: list[str] | None = feature.get("names") if isinstance(feature, dict) else None
    if names is not None and (not all(isinstance(name, str) for name in names) or len(set(names)) < len(names)):
        raise UsageError(f"{path}: the names of {column!r} in its huggingface metadata are not different words")
    return names


def _first_names(paths: Sequence[Path], column: str) -> list[str] | None:
    """The names in the first file that can be read; a damaged one is named when its own labels are wanted."""
    for path in paths:
        with suppress(RunFailure):
            return _names(path, column)
    return None


def _check_columns(paths: Sequence[Path], options: ParquetOptions) -> None:
    """Refuses files that can be read and hold no images or no labels under these names."""
    wanted = (
        (options.image, _holds_bytes, "bytes, or a struct with bytes,"),
        (options.label, _holds_labels, "integers or text"),
    )
    for path in paths:
        with suppress(RunFailure):
            schema = _schema(path)
            for column, is_right, expected in wanted:
                _require_column(path, schema, column)
                if not is_right(kind := schema.field(column).type):
                    raise UsageError(f"{path}: column {column!r} is {kind}; {expected} are expected")


def _check_all_named(paths: Sequence[Path], column: str) -> None:
    """Refuses files of which some name their labels and some do not: what these mean, nothing says."""
    named: dict[bool, Path] = {}
    for path in paths:
        with suppress(RunFailure):
            named[_names(path, column) is not None] = path
    if len(named) == 2:
        raise UsageError(f"{named[True]} names its labels and {named[False]} does not; a card's class_ids would")


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return "bytes" in kind.names and _holds_bytes(kind.field("bytes").type)
    return "binary" in str(kind) or pa.types.is_null(kind)  # plain, large, of a fixed size, a view


def _holds_labels(kind: pa.DataType) -> bool:
    """Truth values are no classes, and floats may be anything."""
    if pa.types.is_dictionary(kind):
        return _holds_labels(kind.value_type)
    return pa.types.is_integer(kind) or pa.types.is_null(kind) or "string" in str(kind)


def _schema(path: Path) -> pa.Schema:
    with _readable(path):
        return pq.read_schema(path)


def _require_column(path: Path, schema: pa.Schema, column: str) -> None:
    if column not in schema.names:
        raise UsageError(f"{path} has no column {column!r}; it has {', '.join(schema.names)}")


def _classes(paths: Sequence[Path], column: str, written: list[str] | None) -> tuple[str, ...]:
    if (names := _first_names(paths, column) or written) is not None:
        return tuple(sorted(names))
    labels = {label for path in paths for label in _labels(path, column) if label is not None}
    if not labels:
        raise UsageError(f"{paths[0].parent} holds no labelled row")
    width = max(len(str(label)) for label in labels)
    return tuple(sorted(_class_id(label, None, width) or "" for label in labels))


def _class_id(label: int | str | None, names: Sequence[str] | None, width: int) -> str | None:
    """The id that a label stands for, or None where it stands for nothing. `width` is of ids made from integers."""
    if label is None or isinstance(label, str):
        return label
    if names is None:
        return f"{label:0{width}}"
    return names[label] if 0 <= label < len(names) else None


def _checksums(folder: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """What `SHA256SUMS` in the folder says of these files."""
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        return {}
    lines = (line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8").splitlines() if line.strip())
    stated = {folder / name.lstrip("*"): f"sha256:{checksum}" for checksum, name in lines}
    return {path: stated[path] for path in paths if path in stated}
