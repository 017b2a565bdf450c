"""ImageNet-1K at 64 pixels in its official batches, packed here as the release's script packs them."""

import gzip
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_layouts import jpeg, write_files

from bench.data.datasets import Dataset
from bench.data.finding import fetchable, find_source, load_card
from bench.data.opening import open_dataset
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.progress import Silent
from bench_datasets import imagenet64
from bench_datasets.imagenet64 import IDS

CARD = """
name = "few"
resolution = 64
normalisation = "imagenet"
[[sources]]
layout = "imagenet64"
"""
FILES = {
    "Imagenet64_train_part1_npz/train_data_batch_2.npz": [3, 1000, 1],
    "Imagenet64_train_part2_npz/train_data_batch_10.npz": [2, 2],
    "Imagenet64_val_npz/val_data.npz": [1000, 1],
}
Pictures = dict[str, list[np.ndarray]]


def packed(pictures: list[np.ndarray]) -> np.ndarray:
    """Rows as the release's script makes them of pictures (64, 64, 3): all of red, then green, then blue."""
    return np.stack(
        [np.concatenate([picture[:, :, channel].flatten() for channel in range(3)]) for picture in pictures]
    )


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    """Small batches below a root, and their pictures."""
    draws, made = np.random.default_rng(3), {}
    for number, (name, labels) in enumerate(FILES.items()):
        made[name] = [draws.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in labels]
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        save = np.savez_compressed if number % 2 else np.savez
        save(path, data=packed(made[name]), labels=np.array(labels), mean=np.zeros(12288))
    (tmp_path / "few.toml").write_text(CARD, encoding="utf-8")
    return made


def opened(registry: Registry, root: Path) -> Dataset:
    return open_dataset(registry, str(root / "few.toml"), root, root / "cache", Silent())


def assert_as_made(dataset: Dataset, pictures: Pictures) -> None:
    """Every image and label of both splits, asked for in another order than they lie in."""
    train, val = list(FILES)[:2], list(FILES)[2:]
    for split, names in ((dataset.train, train), (dataset.test, val)):
        expected = [picture for name in names for picture in pictures[name]]
        numbers = [label for name in names for label in FILES[name]]
        backwards = torch.arange(len(expected)).flip(0)
        for image, picture in zip(split.take(backwards), reversed(expected), strict=True):
            np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), picture)
        assert [dataset.classes[label] for label in split.labels.tolist()] == [IDS[number - 1] for number in numbers]


def test_batches_are_read_as_the_release_packs_them(registry: Registry, tmp_path: Path, pictures: Pictures) -> None:
    dataset = opened(registry, tmp_path)
    assert len(dataset.classes) == 1000 and list(dataset.classes) == sorted(dataset.classes)
    assert_as_made(dataset, pictures)


def test_batches_make_room_for_one_another(
    registry: Registry, tmp_path: Path, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet64, "machine_memory", lambda: 1)
    source = find_source(registry, "few", load_card(registry, str(tmp_path / "few.toml")), tmp_path)
    for _ in range(2):
        found = [array for _, array in source.reader.encoded(source.source, "train", [0, 2, 3, 4])]
        held: dict[Path, Any] = vars(source.reader)["_held"]
        assert [path.name for path in held] == ["train_data_batch_10.npz"]
        made = [picture for name in list(FILES)[:2] for picture in pictures[name]]
        for array, picture in zip(found, [made[0], *made[2:]], strict=True):
            np.testing.assert_array_equal(array.transpose(1, 2, 0), picture)


def test_the_order_of_classes_is_the_release_s() -> None:
    """Of map_clsloc.txt (PatrykChrabaszcz/Imagenet32_Scripts): its first and last lines, and all of the ids."""
    assert IDS[:3] == ("n02119789", "n02100735", "n02110185"), "kit fox, English setter, Siberian husky"
    assert IDS[-1] == "n03255030", "dumbbell"
    assert sorted(IDS) == (files("timm.data") / "_info/imagenet_synsets.txt").read_text().split()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": None}, "cannot be read"),
        ({"labels": np.array([1, None], dtype=object)}, "cannot be read"),
        ({"labels": np.array([1, 0])}, "row 1 has the label 0, of no class"),
        ({"labels": np.array([1001, 1])}, "row 0 has the label 1001, of no class"),
        ({"labels": np.array([1.0, 2.0])}, r"labels float64 \(2,\), not a number an image"),
        ({"labels": np.array([1, 2, 3])}, r"has 3 labels and images uint8 \(2, 12288\)"),
        ({"data": np.zeros((2, 3072), np.uint8)}, r"has 2 labels and images uint8 \(2, 3072\)"),
        ({"data": np.zeros((2, 12288), np.float32)}, "has 2 labels and images float32"),
    ],
    ids=["missing", "pickle", "zero", "1001", "floats", "more", "smaller", "float"],
)
def test_a_damaged_batch_is_named(
    registry: Registry, tmp_path: Path, pictures: Pictures, changed: dict[str, np.ndarray | None], said: str
) -> None:
    name = "Imagenet64_val_npz/val_data.npz"
    whole: dict[str, Any] = {"data": packed(pictures[name]), "labels": np.array(FILES[name]), **changed}
    np.savez(tmp_path / name, **{key: each for key, each in whole.items() if each is not None})
    with pytest.raises(RunFailure, match=rf"corrupt file: .*val_data\.npz.*{said}"):
        opened(registry, tmp_path).test.take(torch.tensor([0]))


@pytest.mark.parametrize(
    "content", [b"", b"no batch", gzip.compress(b"no batch", mtime=0)], ids=["empty", "text", "packed"]
)
def test_a_file_that_is_no_batch_is_named(
    registry: Registry, tmp_path: Path, pictures: Pictures, content: bytes
) -> None:
    (tmp_path / "Imagenet64_val_npz/val_data.npz").write_bytes(content)
    with pytest.raises(RunFailure, match=r"corrupt file: .*val_data\.npz cannot be read"):
        opened(registry, tmp_path).test.take(torch.tensor([0]))


def test_what_is_not_whole_is_refused_under_the_shipped_card(
    registry: Registry, tmp_path: Path, pictures: Pictures
) -> None:
    (tmp_path / "below").mkdir()
    for name in {Path(each).parent for each in FILES}:
        (tmp_path / name).rename(tmp_path / "below" / name)
    (tmp_path / "below").rename(tmp_path / "imagenet64")
    with pytest.raises(UsageError, match=r"5 train images .*layout imagenet64.*card says 1281167: are files missing"):
        open_dataset(registry, "imagenet-1k-64", tmp_path, tmp_path / "cache", Silent())


def test_without_them_the_card_reads_imagenets_own_images_and_says_so(registry: Registry, tmp_path: Path) -> None:
    names = [f"imagenet/{split}/{each}/1.JPEG" for split in ("train", "val") for each in IDS]
    write_files(tmp_path, dict.fromkeys(names, jpeg(0)))
    found = find_source(registry, "imagenet-1k-64", load_card(registry, "imagenet-1k-64"), tmp_path)
    assert found.source.layout == "image-folder"
    assert found.card.differs is not None and "the centre is cut out" in found.card.differs


def test_sets_that_number_its_classes_are_not_taken_to_have_our_order(registry: Registry) -> None:
    """FRePo's follow the release."""
    theirs = load_card(registry, "imagenet-1k-64").elsewhere
    assert theirs is not None and theirs.class_ids == IDS


def test_the_archives_are_those_of_tensorflow_datasets(registry: Registry) -> None:
    """Its imagenet_resized/checksums.tsv; each holds the folder that is looked for."""
    found = fetchable(registry, load_card(registry, "imagenet-1k-64"))
    assert [(each.url.rpartition("/")[2], each.bytes, each.checksum[7:15]) for each in found] == [
        ("Imagenet64_train_part1_npz.zip", 6_783_426_789, "9422dc1d"),
        ("Imagenet64_train_part2_npz.zip", 6_780_506_068, "9fafc115"),
        ("Imagenet64_val_npz.zip", 529_522_927, "e1e75133"),
    ]
    assert [each.file for each in found] == [f"imagenet64/{each.extract}.zip" for each in found]
