"""Tiny-ImageNet in every layout that people have it in: the same classes, labels and pixels."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_layouts import WNIDS, Files, Rows, arrange_by_class, write_files, write_parquet, write_zip

from bench.data.datasets import Dataset, Split
from bench.data.opening import open_dataset
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.progress import Silent
from bench.storage.files import file_digest

CARD = """
name = "tiny"
resolution = 16
normalisation = "imagenet"
classes = 3
{ids}
[[sources]]
layout = "{layout}"
options = {options}
{fetch}
"""
FETCH = '[sources.fetch]\nurl = "http://localhost/"\nfile = "tiny-imagenet-200.zip"\nchecksum = "{checksum}"\n'


def _zip(root: Path, files: Files, rows: Rows) -> tuple[str, str, str]:
    path = write_zip(root / "tiny-imagenet-200.zip", files)
    return "tiny-imagenet-zip", "{}", FETCH.format(checksum=f"md5:{file_digest(path, 'md5')}")


def _folder(root: Path, files: Files, rows: Rows) -> tuple[str, str, str]:
    write_files(root / "tiny-imagenet-200", files)
    return "tiny-imagenet-folder", "{}", ""


def _arranged(root: Path, files: Files, rows: Rows) -> tuple[str, str, str]:
    arrange_by_class(write_files(root / "tiny-imagenet-200", files))
    return "image-folder", '{ path = "tiny-imagenet-200", test = "val" }', ""


def _parquet(root: Path, files: Files, rows: Rows) -> tuple[str, str, str]:
    names = sorted(WNIDS)
    write_parquet(root / "tiny" / "data" / "train-00000-of-00002.parquet", rows["train"][:7], names)
    write_parquet(root / "tiny" / "data" / "train-00001-of-00002.parquet", rows["train"][7:], names)
    write_parquet(root / "tiny" / "data" / "valid-00000-of-00001.parquet", rows["test"], names)
    return "parquet", '{ path = "tiny", test = "data/valid-*.parquet" }', ""


LAYOUTS: list[Callable[[Path, Files, Rows], tuple[str, str, str]]] = [_zip, _folder, _arranged, _parquet]


def _open(registry: Registry, root: Path, made: tuple[str, str, str], ids: str = "") -> Dataset:
    layout, options, fetch = made
    card = root / "card.toml"
    card.write_text(CARD.format(ids=ids, layout=layout, options=options, fetch=fetch))
    return open_dataset(registry, str(card), root, root / "cache", Silent())


def _content(split: Split) -> Counter[tuple[int, str]]:
    images, labels = next(split.chunks(1000))
    return Counter(
        (int(label), hashlib.sha256(image.numpy().tobytes()).hexdigest())
        for image, label in zip(images, labels, strict=True)
    )


@pytest.mark.parametrize("ids", ["", f"class_ids = {list(WNIDS)}"])
def test_every_layout_gives_the_same_labels_and_pixels(
    registry: Registry, tmp_path: Path, official: Files, parquet_rows: Rows, ids: str
) -> None:
    found = []
    for number, make in enumerate(LAYOUTS):
        root = tmp_path / str(number)
        root.mkdir()
        dataset = _open(registry, root, make(root, official, parquet_rows), ids)
        assert dataset.classes == tuple(sorted(WNIDS))
        found.append((_content(dataset.train), _content(dataset.test)))
    train, test = found[0]
    assert (train.total(), test.total(), len(train), len(test)) == (15, 6, 15, 6)
    assert all(each == found[0] for each in found)


def test_class_index_is_the_rank_of_the_sorted_id(registry: Registry, tmp_path: Path, official: Files) -> None:
    dataset = _open(registry, tmp_path, _folder(tmp_path, official, {}))
    assert dataset.test.labels.tolist() == [sorted(WNIDS).index(WNIDS[index % 3]) for index in range(6)]


def test_an_archive_with_another_checksum_is_not_read(registry: Registry, tmp_path: Path, official: Files) -> None:
    made = _zip(tmp_path, official, {})
    write_zip(tmp_path / "tiny-imagenet-200.zip", {**official, "words.txt": b"changed"})
    with pytest.raises(RunFailure, match=r"corrupt file: .*tiny-imagenet-200\.zip has md5 .* bench data fetch tiny"):
        _open(registry, tmp_path, made).train.take(torch.tensor([0]))


def test_a_damaged_member_of_the_archive_is_named(registry: Registry, tmp_path: Path, official: Files) -> None:
    damaged = f"train/{WNIDS[0]}/images/{WNIDS[0]}_3.JPEG"
    made = _zip(tmp_path, {**official, damaged: official[damaged][:100]}, {})
    dataset = _open(registry, tmp_path, made)
    with pytest.raises(RunFailure, match=f"corrupt image: {damaged} of .*tiny-imagenet-200.zip"):
        dataset.train.take(torch.tensor([0]))


@pytest.mark.parametrize("make", [_zip, _folder])
def test_an_annotated_image_that_is_missing_is_named(
    registry: Registry, tmp_path: Path, official: Files, make: Callable[..., tuple[str, str, str]]
) -> None:
    files = {name: content for name, content in official.items() if name != "val/images/val_4.JPEG"}
    dataset = _open(registry, tmp_path, make(tmp_path, files, {}))
    with pytest.raises(RunFailure, match=r"corrupt file: .*val/images/val_4\.JPEG (of|cannot be read)"):
        dataset.test.take(torch.tensor([0]))


def test_an_annotation_of_no_class_is_named(registry: Registry, tmp_path: Path, official: Files) -> None:
    text = official["val/val_annotations.txt"].replace(WNIDS[1].encode(), b"n09999999")
    with pytest.raises(RunFailure, match=r"val_1\.JPEG has the class 'n09999999'"):
        _open(registry, tmp_path, _folder(tmp_path, {**official, "val/val_annotations.txt": text}, {})).test.take(
            torch.tensor([0])
        )


def test_a_folder_that_is_no_class_is_named(registry: Registry, tmp_path: Path, official: Files) -> None:
    made = _arranged(tmp_path, official, {})
    left = tmp_path / "tiny-imagenet-200" / "val" / "images"
    left.mkdir()
    assert len(_open(registry, tmp_path, made, f"class_ids = {list(WNIDS)}").test) == 6
    (left / "val_0.JPEG").write_bytes(b"")
    with pytest.raises(UsageError, match="val/images is no class of this dataset"):
        _open(registry, tmp_path, made, f"class_ids = {list(WNIDS)}")


@pytest.mark.parametrize("make", LAYOUTS[:3])
def test_what_systems_leave_is_no_image(
    registry: Registry, tmp_path: Path, official: Files, make: Callable[..., tuple[str, str, str]]
) -> None:
    wnid = WNIDS[0]
    left = {f"train/{wnid}/images/._{wnid}_0.JPEG": b"", f"train/{wnid}/@eaDir/x.JPEG": b"", "._wnids.txt": b"no ids"}
    dataset = _open(registry, tmp_path, make(tmp_path, {**left, **official}, {}))
    assert (dataset.classes, len(dataset.train.take(torch.arange(15)))) == (tuple(sorted(WNIDS)), 15)
