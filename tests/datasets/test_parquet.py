"""Parquet: where class ids come from, rows that are damaged, files that are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_layouts import Row, jpeg, write_parquet

from bench.data.datasets import Dataset
from bench.data.opening import open_dataset
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.progress import Silent
from bench.storage.files import file_digest

CARD = """
name = "rows"
resolution = 16
normalisation = "half"
{fields}
[[sources]]
layout = "parquet"
"""


def _open(registry: Registry, folder: Path, fields: str = "") -> Dataset:
    card = folder / "rows.toml"
    card.write_text(CARD.format(fields=fields))
    return open_dataset(registry, str(card), folder / "none", folder / "cache", Silent())


def test_labels_count_the_names_of_each_file(registry: Registry, tmp_path: Path) -> None:
    rows = [(jpeg(index), index % 2) for index in range(4)]
    write_parquet(tmp_path / "train-0.parquet", [*rows], ["b", "a"])
    write_parquet(tmp_path / "train-1.parquet", [*rows], ["a", "b"])
    dataset = _open(registry, tmp_path)
    assert dataset.classes == ("a", "b")
    assert dataset.train.labels.tolist() == [1, 0, 1, 0, 0, 1, 0, 1]


def test_names_are_called_as_a_card_says_unless_two_become_one(registry: Registry, tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [(jpeg(index), index) for index in range(3)], ["rose", "lily", "iris"])
    card = tmp_path / "rows.toml"

    def called(renamed: str) -> Dataset:
        card.write_text(f"{CARD.format(fields='')}options = {{ renamed = {renamed} }}")
        return open_dataset(registry, str(card), tmp_path / "none", tmp_path / "cache", Silent())

    dataset = called('{ rose = "b", lily = "rose", tulip = "c" }')
    assert (dataset.classes, dataset.train.labels.tolist()) == (("b", "iris", "rose"), [0, 2, 1])
    with pytest.raises(UsageError, match=r"train\.parquet: 'renamed' calls two names of 'label' 'iris'$"):
        called('{ rose = "iris" }')


def test_without_names_labels_count_the_ids_as_the_card_has_them(registry: Registry, tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [(jpeg(0), 0), (jpeg(1), 1)])
    dataset = _open(registry, tmp_path, 'class_ids = ["z", "y"]')
    assert (dataset.classes, dataset.train.labels.tolist()) == (("y", "z"), [1, 0])


def test_without_any_ids_numbers_keep_their_order(registry: Registry, tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [(jpeg(0), label) for label in (10, 2, 9)])
    dataset = _open(registry, tmp_path)
    assert (dataset.classes, dataset.train.labels.tolist()) == (("02", "09", "10"), [2, 0, 1])


def test_strings_are_their_own_ids(registry: Registry, tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [(jpeg(0), "rose"), (jpeg(1), "daisy")])
    assert _open(registry, tmp_path).classes == ("daisy", "rose")


def test_a_split_without_labels_says_so(registry: Registry, tmp_path: Path) -> None:
    """As the test split of Hugging Face's ImageNet-1K; its validation split is another file."""
    write_parquet(tmp_path / "train.parquet", [(jpeg(0), 0), (jpeg(1), 1)], ["a", "b"])
    write_parquet(tmp_path / "test.parquet", [(jpeg(0), -1), (jpeg(1), -1)], ["a", "b"])
    with pytest.raises(RunFailure, match=r"test\.parquet has no labels \(-1\): the card's options may name another"):
        _open(registry, tmp_path).test.take(torch.tensor([0]))


@pytest.mark.parametrize("label", [-1, 2, None])
def test_a_label_that_is_no_class_is_named(registry: Registry, tmp_path: Path, label: int | None) -> None:
    write_parquet(tmp_path / "train.parquet", [(jpeg(0), 0), (jpeg(1), 1), (jpeg(2), label)], ["a", "b"])
    with pytest.raises(RunFailure, match=rf"train\.parquet row 2 has the label {label}, which is no class"):
        _open(registry, tmp_path).train.take(torch.tensor([0]))


@pytest.mark.parametrize(("labels", "row"), [([0, 1, -1, 0], 2), (["a", "b", "a", ""], 3), ([-2, 0, 1, 2], 0)])
def test_an_unlabelled_row_is_no_class_of_its_own(
    registry: Registry, tmp_path: Path, labels: list[int | str], row: int
) -> None:
    path = write_parquet(tmp_path / "train.parquet", [(jpeg(0), label) for label in labels])
    with pytest.raises(UsageError, match=f"{path} row {row} has the label {labels[row]!r}, which can be no class"):
        _open(registry, tmp_path)


def test_a_file_without_labels_makes_no_class(registry: Registry, tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [(jpeg(0), 0), (jpeg(1), 1)])
    write_parquet(tmp_path / "test.parquet", [(jpeg(0), -1), (jpeg(1), -1)])
    dataset = _open(registry, tmp_path)
    assert dataset.classes == ("0", "1")
    with pytest.raises(RunFailure, match=r"test\.parquet has no labels \(-1\)"):
        dataset.test.take(torch.tensor([0]))


@pytest.mark.parametrize("content", [b"damaged", None])
def test_a_damaged_row_is_named(registry: Registry, tmp_path: Path, content: bytes | None) -> None:
    rows = [(jpeg(index), index % 2) for index in range(5)]
    write_parquet(tmp_path / "train-0.parquet", [*rows])
    write_parquet(tmp_path / "train-1.parquet", [*rows, (jpeg(8), 0), (content, 1)])
    with pytest.raises(RunFailure, match=r"corrupt image: .*train-1\.parquet row 6"):
        _open(registry, tmp_path).train.take(torch.tensor([0]))


def test_a_truncated_file_fails_its_own_split_alone(registry: Registry, tmp_path: Path) -> None:
    rows: list[Row] = [(jpeg(index), index % 2) for index in range(9)]
    path = write_parquet(tmp_path / "train.parquet", rows, ["a", "b"])
    write_parquet(tmp_path / "test.parquet", rows, ["a", "b"])
    path.write_bytes(path.read_bytes()[:-100])
    dataset = _open(registry, tmp_path)
    assert len(dataset.test.take(torch.arange(9))) == 9
    with pytest.raises(RunFailure, match=f"corrupt file: {path} is not readable as Parquet"):
        dataset.train.take(torch.tensor([0]))


def test_without_any_readable_file_the_classes_cannot_be_known(registry: Registry, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "train.parquet", [(jpeg(0), 0), (jpeg(1), 1)])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UsageError, match=f"the classes of rows cannot be known: corrupt file: {path}"):
        _open(registry, tmp_path)


def test_a_file_that_differs_from_its_checksum_is_named(registry: Registry, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "train.parquet", [(jpeg(index), index % 2) for index in range(9)])
    (tmp_path / "SHA256SUMS").write_text(f"{file_digest(path)}  train.parquet\n{'0' * 64}  other.parquet\n")
    assert len(_open(registry, tmp_path).train) == 9
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunFailure, match=f"corrupt file: {path} has sha256"):
        _open(registry, tmp_path).train.take(torch.tensor([0]))


def test_a_missing_column_is_named(registry: Registry, tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [(jpeg(0), 0), (jpeg(1), 1)])
    card = 'name = "rows"\nresolution = 16\nnormalisation = "half"\n[[sources]]\nlayout = "parquet"\n'
    (tmp_path / "rows.toml").write_text(card + 'options = { label = "fine_label" }\n')
    with pytest.raises(UsageError, match=r"train\.parquet has no column 'fine_label'; it has image, label"):
        open_dataset(registry, str(tmp_path / "rows.toml"), tmp_path, tmp_path / "cache", Silent())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ('image = "img"', r"train-1\.parquet has no column 'img'; it has image, label"),
        ('image = "label"', "column 'label' is string; bytes, or a struct with bytes, are expected"),
    ],
)
def test_an_image_column_without_images_is_named(
    registry: Registry, tmp_path: Path, options: str, expected: str
) -> None:
    _two(tmp_path, "train-0.parquet", "train-1.parquet")
    (tmp_path / "train-0.parquet").write_bytes(b"damaged")
    with pytest.raises(UsageError, match=expected):
        _with(registry, tmp_path, options)


def test_files_without_rows_are_no_dataset(registry: Registry, tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [])
    with pytest.raises(UsageError, match="holds no labelled row"):
        _open(registry, tmp_path)


def _with(registry: Registry, folder: Path, options: str, fields: str = "") -> Dataset:
    card = folder / "rows.toml"
    card.write_text(CARD.format(fields=fields) + f"options = {{ {options} }}\n")
    return open_dataset(registry, str(card), folder / "none", folder / "cache", Silent())


def _two(folder: Path, *names: str) -> None:
    for name in names:
        write_parquet(folder / name, [(jpeg(0), "a"), (jpeg(1), "b")])


def test_a_list_of_patterns_is_a_union_of_files_each_once(registry: Registry, tmp_path: Path) -> None:
    _two(tmp_path, "train-0.parquet", "more/x.parquet", "._train-1.parquet")
    assert len(_with(registry, tmp_path, 'train = ["train*.parquet", "*/x.parquet", "*.parquet"]').train) == 4
    with pytest.raises(UsageError, match=r"none-\*\.parquet holds no images; the card wants all of train"):
        _with(registry, tmp_path, 'train = ["train*.parquet", "none-*.parquet"]')


def test_a_file_of_both_splits_is_refused(registry: Registry, tmp_path: Path) -> None:
    _two(tmp_path, "train-0.parquet")
    (tmp_path / "test-0.parquet").symlink_to("train-0.parquet")
    with pytest.raises(UsageError, match=r"test-0\.parquet is read twice, also as .*train-0\.parquet"):
        _open(registry, tmp_path)
    with pytest.raises(UsageError, match=r"train-0\.parquet is read twice \(train and test\)"):
        _with(registry, tmp_path, 'test = "train*.parquet"')


def test_rows_are_cut_as_images_are(registry: Registry, tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [(jpeg(index), "ab"[index % 2]) for index in range(10)])
    dataset = _open(registry, tmp_path, "split = { test = 0.2 }")
    assert [each.labels.bincount().tolist() for each in (dataset.train, dataset.test)] == [[4, 4], [1, 1]]


@pytest.mark.parametrize("names", [None, ["a", "b"]])
@pytest.mark.parametrize(("labels", "kind"), [([0.0, 1], "double"), ([True, False], "bool"), ([b"0", b"1"], "binary")])
def test_labels_are_integers_or_text(
    registry: Registry, tmp_path: Path, names: list[str] | None, labels: list[Any], kind: str
) -> None:
    write_parquet(tmp_path / "train.parquet", list(zip([jpeg(0), jpeg(1)], labels, strict=True)), names)
    with pytest.raises(UsageError, match=f"column 'label' is {kind}; integers or text are expected"):
        _open(registry, tmp_path)


@pytest.mark.parametrize("names", [["a", "a"], ["a", None]])
def test_names_of_labels_are_different_words(registry: Registry, tmp_path: Path, names: list[str]) -> None:
    write_parquet(tmp_path / "train.parquet", [(jpeg(0), 0), (jpeg(1), 1)], names)
    with pytest.raises(UsageError, match="in its huggingface metadata are not different words"):
        _open(registry, tmp_path)


@pytest.mark.parametrize("first_is_named", [True, False])
def test_files_of_which_only_some_name_their_labels_need_a_card(
    registry: Registry, tmp_path: Path, first_is_named: bool
) -> None:
    rows: list[Row] = [(jpeg(0), 0), (jpeg(1), 1)]
    write_parquet(tmp_path / "train-0.parquet", rows, ["b", "a"] if first_is_named else None)
    write_parquet(tmp_path / "train-1.parquet", rows, None if first_is_named else ["b", "a"])
    with pytest.raises(UsageError, match=r"names its labels and .* does not"):
        _open(registry, tmp_path)
    assert _open(registry, tmp_path, 'class_ids = ["b", "a"]').train.labels.tolist() == [1, 0, 1, 0]
