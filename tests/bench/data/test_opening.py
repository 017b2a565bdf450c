"""Opening by name or by a user's card: what is found, what is refused and in which words, what a hash covers."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data import opening
from bench.data.datasets import Dataset, Selection, TensorSplit
from bench.data.decoding import VERSION
from bench.data.finding import find_source, load_card
from bench.data.opening import open_dataset, select_classes
from bench.data.splits import CachedSplit, StreamedSplit, UnavailableSplit
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.progress import Silent
from bench.storage import paging

CARD = """
name = "flowers"
resolution = 8
normalisation = "imagenet"
[[sources]]
layout = "image-folder"
"""
CLASSES = ("daisy", "rose", "tulip")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


def _picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """A card beside an image folder of three classes, four training images and two test images each."""
    for number, name in enumerate(CLASSES):
        for image in range(4):
            _picture(tmp_path / "train" / name / f"{image}.png", 10 * number + image)
        for image in range(2):
            _picture(tmp_path / "test" / name / f"{image}.png", 100 + 10 * number + image)
    card = tmp_path / "flowers.toml"
    card.write_text(CARD)
    return card


def _open(registry: Registry, card: Path, root: Path | None = None) -> Dataset:
    return open_dataset(registry, str(card), root or card.parent / "none", card.parent / "cache", Silent())


def test_a_card_beside_a_folder_is_a_dataset(registry: Registry, flowers: Path) -> None:
    dataset = _open(registry, flowers)
    assert (dataset.classes, dataset.class_names) == (CLASSES, CLASSES)
    assert (len(dataset.train), len(dataset.test)) == (12, 6)
    assert not list(flowers.parent.glob("cache/images/flowers-*"))  # nothing is decoded by opening
    images, labels = next(dataset.test.chunks(100))
    for index, (name, number) in enumerate((name, number) for name in CLASSES for number in range(2)):
        pixels = np.asarray(Image.open(flowers.parent / "test" / name / f"{number}.png"))
        np.testing.assert_array_equal(images[index].numpy(), pixels.transpose(2, 0, 1))
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_images_of_another_decoding_are_left_alone(
    registry: Registry, flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (VERSION - 1, VERSION):
        monkeypatch.setattr("bench.data.opening.VERSION", version)
        dataset = _open(registry, flowers)
        assert dataset.test.ready()
    assert len(list(flowers.parent.glob("cache/images/flowers-*"))) == 2


def test_originals_are_the_files_own_pixels_whatever_the_resolution(registry: Registry, tmp_path: Path) -> None:
    """Some classes of a dataset too, in the order asked for, from the cache as from a stream."""
    files = {}
    for name in CLASSES:
        for number in range(2):
            files[name, number] = tmp_path / "train" / name / f"{number}.png"
            _picture(files[name, number], len(files))
            with Image.open(files[name, number]) as picture:
                picture.resize((20 + len(files), 12)).save(files[name, number])
        _picture(tmp_path / "test" / name / "0.png", 0)
    (tmp_path / "flowers.toml").write_text(CARD)
    dataset = _open(registry, tmp_path / "flowers.toml").only(("rose", "tulip"))
    assert dataset.train.take(torch.arange(4)).shape == (4, 3, 8, 8)
    assert isinstance(dataset.train, Selection) and isinstance(dataset.train.base, CachedSplit)
    streamed = replace(dataset.train, base=StreamedSplit(dataset.train.base.decoder, dataset.train.base.labels))
    expected = [
        np.asarray(Image.open(files[key])).transpose(2, 0, 1) for key in (("tulip", 1), ("rose", 0), ("tulip", 0))
    ]
    for split in (dataset.train, streamed):
        for found, pixels in zip(split.originals(torch.tensor([3, 0, 2])), expected, strict=True):
            np.testing.assert_array_equal(found.numpy(), pixels)


def test_a_user_card_also_finds_what_lies_below_the_data_root(
    registry: Registry, flowers: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere" / "card.toml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(CARD)
    assert len(_open(registry, elsewhere, root=flowers.parent).train) == 12


def test_nothing_there_says_what_was_looked_for_and_how_to_get_it(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        open_dataset(registry, "tiny-imagenet", tmp_path, tmp_path / "cache", Silent())
    message = str(refusal.value)
    assert "\n" not in message
    for part in (
        f"'tiny-imagenet' is not below {tmp_path}",
        "tiny-imagenet/data/train-*.parquet (parquet)",
        "tiny-imagenet-200/val/val_annotations.txt (tiny-imagenet-folder)",
        "tiny-imagenet-200.zip (tiny-imagenet-zip)",
        f"bench data fetch tiny-imagenet --data-root {tmp_path}",
    ):
        assert part in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_can_be_fetched(registry: Registry, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=rf"python\.tar\.gz \(cifar\).*\. To get it: bench data fetch {name}"):
        find_source(registry, name, load_card(registry, name), tmp_path)


def test_imagenet_points_to_its_homepage(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"imagenet-1k/train/CLASS .* To get it: https://www\.image-net\.org"):
        find_source(registry, "imagenet-1k", load_card(registry, "imagenet-1k"), tmp_path)


def test_a_folder_in_place_of_its_card_is_told_of_the_card(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "flowers.toml").touch()
    with pytest.raises(UsageError, match=r"is a folder; a dataset of your own is named by its card: .*/flowers\.toml$"):
        load_card(registry, str(tmp_path))


def test_unknown_names_get_the_nearest(registry: Registry) -> None:
    with pytest.raises(UsageError, match="unknown dataset 'tiny-imagnet'; did you mean 'tiny-imagenet'"):
        load_card(registry, "tiny-imagnet")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('"image-folder"', '"image-foldr"'), "unknown layout 'image-foldr'; did you mean 'image-folder'"),
        (
            ("folder", 'folder"\noptions = { pth = "x" }#'),
            "sources.0.options: unknown field 'pth'; did you mean 'path'",
        ),
        (("[[", "classes = 4\n[["), "has 3 classes; the card of flowers says 4"),
        (("[[", 'class_ids = ["daisy", "rose"]\n[['), "tulip is no class"),
        (("[[", 'class_names = { ros = "Rosa" }\n[['), "'ros'; did you mean 'rose'"),
        (("[[", "images = { train = 13 }\n[["), "has 12 train images below .*its card says 13: are files missing"),
    ],
)
def test_a_card_that_does_not_fit_is_one_line(
    registry: Registry, flowers: Path, change: tuple[str, str], expected: str
) -> None:
    flowers.write_text(CARD.replace(*change))
    with pytest.raises(UsageError, match=expected) as refusal:
        _open(registry, flowers)
    assert "\n" not in str(refusal.value)


def test_without_training_images_the_rest_still_works(registry: Registry, flowers: Path) -> None:
    (flowers.parent / "train").rename(flowers.parent / "moved")
    dataset = select_classes(_open(registry, flowers), "2")
    assert isinstance(dataset.train, UnavailableSplit)
    assert (dataset.classes, len(dataset.test)) == (CLASSES[:2], 4)
    with pytest.raises(RunFailure, match="'flowers' has no train images below"):
        dataset.train.take(torch.tensor([0]))


def test_a_corrupt_image_is_named_when_it_is_decoded(registry: Registry, flowers: Path) -> None:
    bad = flowers.parent / "train" / "rose" / "2.png"
    bad.write_bytes(bad.read_bytes()[:60])
    dataset = _open(registry, flowers)
    with pytest.raises(RunFailure, match=f"corrupt image: {bad}"):
        dataset.train.take(torch.tensor([0]))


def test_changed_files_are_decoded_again_and_change_the_hash_of_a_user_card(registry: Registry, flowers: Path) -> None:
    before = _open(registry, flowers)
    first = before.train.take(torch.tensor([0])).clone()
    changed = flowers.parent / "train" / "daisy" / "0.png"
    _picture(changed, 999)
    after = _open(registry, flowers)
    assert after.card_hash != before.card_hash
    assert not torch.equal(after.train.take(torch.tensor([0])), first)


def test_touched_files_with_the_same_content_keep_hash_and_cache(registry: Registry, flowers: Path) -> None:
    before = _open(registry, flowers)
    before.train.take(torch.tensor([0]))
    os.utime(flowers.parent / "train" / "daisy" / "0.png", ns=(1, 1))
    after = _open(registry, flowers)
    after.train.take(torch.tensor([0]))
    assert after.card_hash == before.card_hash
    assert len(list(flowers.parent.glob("cache/images/flowers-*"))) == 1


def test_another_resolution_is_another_cache(registry: Registry, flowers: Path) -> None:
    _open(registry, flowers).train.take(torch.tensor([0]))
    flowers.write_text(CARD.replace("resolution = 8", "resolution = 4"))
    assert _open(registry, flowers).train.take(torch.tensor([0])).shape == (1, 3, 4, 4)
    assert len(list(flowers.parent.glob("cache/images/flowers-*"))) == 2


def test_large_splits_are_streamed_and_give_the_same(
    registry: Registry, flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = _open(registry, flowers)
    monkeypatch.setattr(opening, "STREAM_ABOVE", 6 * 3 * 8 * 8)  # the bytes of the test split
    streamed = _open(registry, flowers)
    assert isinstance(streamed.train, StreamedSplit)
    assert isinstance(streamed.test, CachedSplit)
    everything = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(streamed.train.take(everything), cached.train.take(everything))
    assert torch.equal(streamed.train.labels, cached.train.labels)


def test_the_first_classes_or_those_named(registry: Registry, flowers: Path) -> None:
    dataset = _open(registry, flowers)
    assert select_classes(dataset, None) is dataset
    assert select_classes(dataset, "2").classes == ("daisy", "rose")
    named = select_classes(dataset, "tulip, daisy")
    assert named.classes == ("daisy", "tulip")
    assert named.train.labels.tolist() == [0] * 4 + [1] * 4
    assert torch.equal(named.train.take(torch.tensor([4])), dataset.train.take(torch.tensor([8])))
    assert named.class_order_hash != dataset.class_order_hash


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("0", "--classes must be 2 to 3 for flowers, not 0"),
        ("-1", "--classes must be 2 to 3 for flowers, not -1"),
        ("4", "--classes must be 2 to 3 for flowers, not 4"),
        ("rose,tulp", "unknown class of flowers 'tulp'; did you mean 'tulip', one of 3\\?$"),
        ("rose,rose", "two or more different class ids"),
        ("rose", "two or more different class ids"),
        ("", "two or more different class ids"),
    ],
)
def test_other_classes_are_one_line(registry: Registry, flowers: Path, spec: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        select_classes(_open(registry, flowers), spec)


def test_large_splits_are_kept_decoded_where_the_user_says_so(
    registry: Registry, flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no more of one than a piece is held in memory."""
    given_back: list[int] = []
    whole = _open(registry, flowers).train.take(torch.arange(12))
    monkeypatch.setattr(opening, "STREAM_ABOVE", 6 * 3 * 8 * 8)
    monkeypatch.setenv("BENCH_DECODED_GB", "0.000002304")  # the bytes of the training split
    monkeypatch.setattr(paging, "PIECE", 2 * 3 * 8 * 8)
    monkeypatch.setattr(paging, "release", lambda tensor, unchanged: given_back.append(tensor.nbytes))
    kept = _open(registry, flowers)
    assert isinstance(kept.train, CachedSplit)
    assert torch.equal(torch.cat([kept.train.take(part) for part in torch.arange(12).split(3)]), whole)
    assert given_back == [12 * 3 * 8 * 8] * 4
    kept.test.take(torch.arange(6))
    assert len(given_back) == 4


@pytest.mark.parametrize("size", ["much", "-1", "nan", "inf", ""])
def test_a_size_that_is_none_is_refused(
    registry: Registry, flowers: Path, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DECODED_GB", size)
    with pytest.raises(UsageError, match=f"BENCH_DECODED_GB takes gigabytes, as 200, not '{size}'"):
        _open(registry, flowers)


def test_images_that_are_held_move_where_they_fit(registry: Registry, flowers: Path) -> None:
    """A device stands for any other: this machine's own is one to move to."""
    train, here = _open(registry, flowers).train, torch.device("cpu")
    assert isinstance(train, CachedSplit)
    size, every = 12 * 3 * 8 * 8, torch.arange(12)
    moved, some = train.moved(here, size), train.of_classes([2, 0])
    assert isinstance(moved, TensorSplit)
    assert torch.equal(moved.take(every), train.take(every)) and torch.equal(moved.labels, train.labels)
    assert train.moved(here, size - 1) is train
    of_two = some.moved(here, size - 1)
    assert isinstance(of_two, TensorSplit)
    assert torch.equal(of_two.take(every[:8]), some.take(every[:8])) and torch.equal(of_two.labels, some.labels)
    assert some.moved(here, size // 2) is some


def test_classes_of_a_split_that_was_cut_out_of_another_move_too(registry: Registry, flowers: Path) -> None:
    (flowers.parent / "test").rename(flowers.parent / "more")
    flowers.write_text(CARD.replace("[[", "split = { test = 0.5, seed = 0 }\n[["))
    some, here = _open(registry, flowers).only(["daisy", "tulip"]).train, torch.device("cpu")
    moved, every = some.moved(here, 4 * 3 * 8 * 8), torch.arange(4)  # half of four images of two classes
    assert isinstance(moved, TensorSplit) and len(moved) == 4
    assert torch.equal(moved.take(every), some.take(every)) and torch.equal(moved.labels, some.labels)
    assert some.moved(here, 4 * 3 * 8 * 8 - 1) is some


def test_images_that_are_decoded_as_asked_stay(
    registry: Registry, flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "STREAM_ABOVE", 0)
    train = _open(registry, flowers).train
    assert isinstance(train, StreamedSplit)
    assert train.moved(torch.device("cpu"), 2**20) is train
