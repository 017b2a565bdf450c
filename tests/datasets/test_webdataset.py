"""WebDataset's shards: order, numbers, and what is damaged."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image

from bench.data.opening import open_dataset
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.progress import Silent

CARD = """name = "shards"
resolution = 16
normalisation = "half"
class_ids = ["zebra", "ape"]
[[sources]]
layout = "webdataset"
"""


def shard(path: Path, members: Sequence[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def plain(gray: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), (gray, gray, gray)).save(stream, "JPEG")
    return stream.getvalue()


def sample(key: str, gray: int, label: str) -> list[tuple[str, bytes]]:
    return [(f"{key}.jpg", plain(gray)), (f"{key}.cls", label.encode()), (f"{key}.json", b"{}")]


@pytest.fixture
def card(tmp_path: Path) -> Path:
    (tmp_path / "card.toml").write_text(CARD)
    shard(tmp_path / "train-0.tar", [*sample("d.x/a", 10, "0"), *sample("d/b", 200, "1\n")])
    about = [("README", b"a shard"), ("__meta__", b"{}"), ("__meta__.json", b"{}"), ("d/.cls", b"9")]  # no samples
    shard(tmp_path / "train-1.tar", [*about, *sample("c", 90, "0")])
    shard(tmp_path / "val-0.tar", sample("a", 50, "1"))
    return tmp_path / "card.toml"


def test_numbers_are_positions_in_the_cards_ids_as_written(card: Path) -> None:
    found = open_dataset(Registry(), str(card), card.parent, card.parent / "cache", Silent())
    assert found.classes == ("ape", "zebra")
    assert found.train.labels.tolist() == [1, 0, 1] and found.test.labels.tolist() == [0]
    grays = found.train.take(torch.arange(3)).float().mean((1, 2, 3))
    assert (grays - torch.tensor([10.0, 200.0, 90.0])).abs().max() < 3


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (sample("a", 1, "2"), "has label 2, which is no class"),
        (sample("a", 1, "-1"), "no number"),
        (sample("a", 1, "one"), "no number"),
        (sample("a", 1, "0")[:1], "has 1 images"),
        ([*sample("a", 1, "0"), ("a.png", b"x")], "has 2 images"),
        ([*sample("a", 1, "0"), *sample("b", 2, "1"), *sample("a", 3, "1")], r"train-1\.tar holds a\.jpg twice: each"),
        ([*sample("a", 1, "0"), ("a.JPG", plain(9))], r"holds a\.JPG twice, also as a\.jpg: each sample needs a key"),
    ],
)
def test_a_damaged_sample_is_named(card: Path, members: Sequence[tuple[str, bytes]], said: str) -> None:
    shard(card.parent / "train-1.tar", members)
    with pytest.raises((RunFailure, UsageError), match=said):
        _ = open_dataset(Registry(), str(card), card.parent, card.parent / "cache", Silent()).train.labels


@pytest.mark.parametrize("content", [b"no tar file", None])
def test_a_shard_that_is_none_or_cut_short_is_named(card: Path, content: bytes | None) -> None:
    path = card.parent / "train-0.tar"
    path.write_bytes(path.read_bytes()[:700] if content is None else content)
    with pytest.raises(RunFailure, match=r"train-0\.tar"):
        _ = open_dataset(Registry(), str(card), card.parent, card.parent / "cache", Silent()).train.labels


def test_a_card_without_ids_is_told(card: Path) -> None:
    card.write_text(CARD.replace('class_ids = ["zebra", "ape"]\n', ""))
    with pytest.raises(UsageError, match="must list class_ids"):
        open_dataset(Registry(), str(card), card.parent, card.parent / "cache", Silent())
