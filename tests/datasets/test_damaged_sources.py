"""Damaged cards and sources: the right reading, or one line of the user's mistake or the file's fault. No traceback."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damage import altered, damaged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_layouts import jpeg, write_parquet

from bench.data.cards import DatasetCard, read_card
from bench.data.finding import find_source
from bench.data.verification import verify
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.progress import Silent
from bench.storage.users_toml import validated

CARD: dict[str, Any] = {
    "name": "flowers",
    "resolution": 16,
    "resize": 18,
    "channels": 3,
    "classes": 2,
    "class_ids": ["daisy", "rose"],
    "class_names": {"daisy": "ox-eye daisy"},
    "images": {"train": 4, "test": 4},
    "depth": 16,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "sources": [
        {
            "layout": "parquet",
            "options": {"path": ".", "train": ["train*.parquet"]},
            "fetch": {
                "url": "https://example.org/a.zip",
                "file": "a.zip",
                "bytes": 3,
                "checksum": "md5:" + "0" * 32,
                "extract": "a",
            },
        }
    ],
}
TEXT = b"""name = "flowers"
resolution = 16
normalisation = "half"
[[sources]]
layout = "parquet"
options = { path = ".", train = ["train*.parquet"] }
"""
HUGE = 10**30


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [(jpeg(i), i % 2) for i in range(4)], ["daisy", "rose"])
    (tmp_path / "card.toml").write_bytes(TEXT)
    return tmp_path


def one_line(work: Callable[[], object]) -> str | None:
    """What a refusal says; None where the work was done."""
    try:
        work()
    except (UsageError, RunFailure) as refusal:
        assert 0 < len(str(refusal)) < 1000
        assert "\n" not in str(refusal)
        return str(refusal)
    return None


def _look(registry: Registry, card: DatasetCard, folder: Path) -> None:
    find_source(registry, str(folder / "card.toml"), card, folder)


def _look_at_fields(registry: Registry, fields: dict[str, Any], folder: Path) -> None:
    _look(registry, validated(DatasetCard, fields, "card"), folder)


def test_a_card_with_another_value_at_any_key(registry: Registry, folder: Path) -> None:
    assert one_line(lambda: _look(registry, validated(DatasetCard, CARD, "card"), folder)) is None
    for what, fields in [*altered(CARD), *_huge(CARD)]:
        said = one_line(partial(_look_at_fields, registry, fields, folder))
        assert said is None or "card" in said or str(folder) in said, what


def _huge(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON value
    """The card with a number or a text that is far too large at each key."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in parts:
        place = (*where, key)
        if isinstance(inner, dict | list):
            yield from _huge(inner, place)
        for odd in (HUGE, -HUGE, float("inf"), float("nan"), "x" * 300, "\0", "/", ".."):
            changed = json.loads(json.dumps(CARD))
            table = changed
            for step in where:
                table = table[step]
            table[key] = odd
            yield f"{place} is {odd!r}", changed


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("std", [float("inf")] * 3, "'std.0': Input should be less than or equal to 1"),
        ("std", [1e-300] * 3, "'std.0': Input should be greater than or equal to 0.001"),
        ("resolution", 100_000, "'resolution': Input should be less than or equal to 4096"),
        ("resolution", -16, "'resolution': Input should be greater than or equal to 1"),
        ("resolution", True, "'resolution': Input should be a valid integer"),
        ("resize", 1_000_000, "'resize': Input should be less than or equal to 4096"),
        ("classes", [], "'classes': Input should be a valid integer"),
        ("class_ids", [], "'class_ids' has 0, and needs 2 at least"),
        ("class_ids", ["a", ""], "'class_ids.1': String should have at least 1 character"),
        ("images", {"train": -3}, "'images.train': Input should be greater than or equal to 0"),
        ("normalisation", [], "unknown normalisation []; choose from imagenet, half"),
        ("name", "f" * 300, "'name'"),
    ],
)
def test_values_that_no_dataset_has(field: str, value: object, said: str) -> None:
    dropped = ("mean", "std") if field == "normalisation" else ()
    fields = {name: each for name, each in CARD.items() if name not in dropped}
    found = one_line(lambda: validated(DatasetCard, {**fields, field: value}, "card"))
    assert found is not None and said in found


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("url", "ftp//x", "begins with https:// or http://"),
        ("url", "https://me:secret@example.org/a", "no user name or password"),
        ("url", "http://[", "'sources.0.fetch.url'"),
        ("url", "http://x:port/", "'sources.0.fetch.url'"),
        ("checksum", "md5:00", "md5 has 32 hex digits, here are 2"),
        ("checksum", "md4:" + "0" * 32, "unknown algorithm 'md4'; did you mean 'md5'?"),
        ("checksum", "sha256:" + "g" * 64, "'sources.0.fetch.checksum'"),
        ("extract", "../x", "the name of a folder in the archive is expected"),
        ("extract", "", "the name of a folder in the archive is expected"),
        ("file", "x" * 300, "longer than the 255 bytes"),
        ("bytes", -1, "greater than or equal to 0"),
    ],
)
def test_downloads_that_cannot_be(field: str, value: object, said: str) -> None:
    source = CARD["sources"][0]
    fields = {**CARD, "sources": [{**source, "fetch": {**source["fetch"], field: value}}]}
    found = one_line(lambda: validated(DatasetCard, fields, "card"))
    assert found is not None and said in found


@pytest.mark.parametrize("pattern", ["", ".", "/x/*.parquet", "../*.parquet", "a**b", "x" * 300, "a\0"])
def test_patterns_that_find_nothing_anywhere(registry: Registry, folder: Path, pattern: str) -> None:
    fields = {**CARD, "sources": [{"layout": "parquet", "options": {"train": pattern}}]}
    found = one_line(lambda: _look(registry, validated(DatasetCard, fields, "card"), folder))
    assert found is not None and "sources.0.options: field 'train" in found


def test_a_damaged_card(folder: Path) -> None:
    deep = b"x = " + b"[" * 50_000
    for what, content in [*damaged(TEXT), ("deep", deep), ("a long number", b"x = " + b"9" * 5000)]:
        (folder / "card.toml").write_bytes(content)
        said = one_line(lambda: read_card(folder / "card.toml"))
        assert said is None or str(folder / "card.toml") in said, what


def test_a_damaged_parquet_file(registry: Registry, folder: Path) -> None:
    whole = (folder / "train.parquet").read_bytes()
    for what, content in damaged(whole):
        (folder / "train.parquet").write_bytes(content)
        said = one_line(lambda: verify(registry, str(folder / "card.toml"), folder, Silent()))
        assert said is None or str(folder) in said or "flowers" in said, what


def _with_metadata(folder: Path, metadata: bytes) -> None:
    table = pq.read_table(folder / "train.parquet")
    pq.write_table(table.replace_schema_metadata({b"huggingface": metadata}), folder / "train.parquet")


def test_metadata_of_other_shapes(registry: Registry, folder: Path) -> None:
    about = {"info": {"features": {"label": {"names": ["daisy", "rose"], "_type": "ClassLabel"}}}}
    texts = [(what, json.dumps(value).encode()) for what, value in altered(about)]
    for what, text in [*texts, *damaged(json.dumps(about).encode())]:
        _with_metadata(folder, text)
        said = one_line(lambda: verify(registry, str(folder / "card.toml"), folder, Silent()))
        assert said is None or "parquet" in said or "flowers" in said, what


@pytest.mark.parametrize("metadata", [b"[]", b"null", b'{"info": 3}', b'{"info": {"features": []}}'])
def test_metadata_that_is_no_object(registry: Registry, folder: Path, metadata: bytes) -> None:
    _with_metadata(folder, metadata)
    said = one_line(lambda: verify(registry, str(folder / "card.toml"), folder, Silent()))
    assert said is not None and "and not a JSON object" in said


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([["a"], ["b"]] * 2),
        pa.array([[0], [1]] * 2),
        pa.array([{"a": "string"}] * 4),
        pa.array([0.0, 1.0] * 2),
        pa.array([True, False] * 2),
    ],
    ids=lambda labels: str(labels.type),
)
def test_labels_of_no_class(registry: Registry, folder: Path, labels: pa.Array) -> None:
    for name in ("train.parquet", "test.parquet"):
        table = pq.read_table(folder / name).replace_schema_metadata({})
        pq.write_table(table.set_column(1, "label", labels), folder / name)
    said = one_line(lambda: verify(registry, str(folder / "card.toml"), folder, Silent()))
    assert said is not None and "integers or text are expected" in said


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "it is a named pipe"),
        (Path.mkdir, "it is a folder"),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "it is a link to nowhere, which is not there"),
    ],
)
def test_parquet_that_is_no_file(registry: Registry, folder: Path, make: Callable[[Path], None], said: str) -> None:
    make(folder / "train-1.parquet")
    found = one_line(lambda: verify(registry, str(folder / "card.toml"), folder, Silent()))
    assert found is not None and said in found


SUMS = "{0}  train.parquet\n{0} *other.parquet\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"abc\n", "SHA256SUMS, line 1: 'abc'"),
        (b"0" * 64, "SHA256SUMS, line 1"),
        (SUMS.format("0" * 64).encode() + b"00  short.parquet\n", "SHA256SUMS, line 3: '00  short.parquet'"),
        (b"<html>\n<body> x y", "SHA256SUMS, line 1: '<html>'"),
        (b"\xff\xfe", "SHA256SUMS, line 1"),
        (SUMS.format("0" * 64).encode(), "corrupt file"),
    ],
)
def test_checksums_as_nobody_writes_them(registry: Registry, folder: Path, content: bytes, said: str) -> None:
    (folder / "SHA256SUMS").write_bytes(content)
    found = one_line(lambda: verify(registry, str(folder / "card.toml"), folder, Silent()))
    assert found is not None and said in found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([*CARD, "normalisation", "split", "like"]), json_values))
def test_any_fields_are_a_card_or_one_line(changes: dict[str, Any]) -> None:
    one_line(lambda: validated(DatasetCard, {**CARD, **changes}, "card"))
