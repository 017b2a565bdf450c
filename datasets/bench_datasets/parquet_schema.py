"""What the schema of a Parquet file says: its columns, and the names of labels in its `huggingface` metadata."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.errors import RunFailure, UsageError, why
from bench.storage.names import brief

_IMAGES = ("image", "img")  # the names of their column in Hugging Face's datasets
_TEXT = {"string", "large_string", "string_view"}
_BYTES = {"binary", "large_binary", "binary_view"}


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what pyarrow raises on a damaged file into a failure that names it."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        raise RunFailure(f"corrupt file: {path} is not readable as Parquet: {why(error)}") from error


def names_of(path: Path, column: str, renamed: Mapping[str, str]) -> list[str] | None:
    """The names of the labels in the file's `huggingface` metadata, in label order.

    Args:
        renamed: what some of them are called here.
    """
    schema = _schema(path)
    _require_column(path, schema, column)
    names = _within(path, _metadata(path, schema), "info", "features", column).get("names")
    if names is not None and not _are_words(names):
        raise UsageError(f"{path}: the names of {column!r} in its huggingface metadata are not different words")
    if names is None:
        return None
    found = [renamed.get(name, name) for name in names]
    if twice := next((name for name in found if found.count(name) > 1), None):
        raise UsageError(f"{path}: 'renamed' calls two names of {column!r} {brief(twice)}")
    return found


def _metadata(path: Path, schema: pa.Schema) -> Any:  # noqa: ANN401 - any JSON value
    """What the `huggingface` metadata says; an empty object where there is none."""
    try:
        return json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except RecursionError:
        raise RunFailure(f"corrupt file: the huggingface metadata of {path} is nested too deeply") from None
    except ValueError as error:
        raise RunFailure(f"corrupt file: the huggingface metadata of {path} is not JSON: {error}") from error


def _within(path: Path, value: Any, *keys: str) -> Mapping[str, Any]:  # noqa: ANN401 - any JSON value
    """The object that lies so deep in others; an empty one where one of them does not have the next."""
    for number, key in enumerate((*keys, "")):
        if not isinstance(value, dict):
            where = ".".join(("huggingface", *keys[:number]))
            raise UsageError(f"{path}: its metadata {where} is {brief(value)}, and not a JSON object")
        value = value.get(key, {}) if number < len(keys) else value
    found: Mapping[str, Any] = value
    return found


def _are_words(names: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether they are a list of different texts, none of them empty."""
    listed = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
    return listed and 0 < len(set(names)) == len(names)


def image_column(paths: Sequence[Path]) -> str:
    """What the images' column is called, where a card does not say it."""
    for path in paths:
        with suppress(RunFailure):
            return next((name for name in _IMAGES if name in _schema(path).names), _IMAGES[0])
    return _IMAGES[0]


def first_names(paths: Sequence[Path], column: str, renamed: Mapping[str, str]) -> list[str] | None:
    """The names in the first file that can be read; a damaged one is named when its own labels are wanted."""
    for path in paths:
        with suppress(RunFailure):
            return names_of(path, column, renamed)
    return None


def check_columns(paths: Sequence[Path], image: str, label: str) -> None:
    """Refuses files that can be read and hold no images or no labels under these names."""
    wanted = (
        (image, _holds_bytes, "bytes, or a struct with bytes,"),
        (label, _holds_labels, "integers or text"),
    )
    for path in paths:
        with suppress(RunFailure):
            schema = _schema(path)
            for column, is_right, expected in wanted:
                _require_column(path, schema, column)
                if not is_right(kind := schema.field(column).type):
                    raise UsageError(f"{path}: column {column!r} is {kind}; {expected} are expected")


def check_all_named(paths: Sequence[Path], column: str) -> None:
    """Refuses files of which some name their labels and some do not: what these mean, nothing says."""
    named: dict[bool, Path] = {}
    for path in paths:
        with suppress(RunFailure):
            named[names_of(path, column, {}) is not None] = path
    if len(named) == 2:
        raise UsageError(f"{named[True]} names its labels and {named[False]} does not; a card's class_ids would")


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return "bytes" in kind.names and _holds_bytes(kind.field("bytes").type)
    if pa.types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    return str(kind) in _BYTES or pa.types.is_fixed_size_binary(kind) or pa.types.is_null(kind)


def _holds_labels(kind: pa.DataType) -> bool:
    """Truth values are no classes, and floats may be anything."""
    if pa.types.is_dictionary(kind):
        return _holds_labels(kind.value_type)
    return pa.types.is_integer(kind) or pa.types.is_null(kind) or str(kind) in _TEXT


def _schema(path: Path) -> pa.Schema:
    with readable(path):
        return pq.read_schema(path)


def _require_column(path: Path, schema: pa.Schema, column: str) -> None:
    if column not in schema.names:
        raise UsageError(f"{path} has no column {column!r}; it has {', '.join(schema.names)}")
    if schema.names.count(column) > 1:
        raise UsageError(f"{path} has {schema.names.count(column)} columns called {column!r}")
