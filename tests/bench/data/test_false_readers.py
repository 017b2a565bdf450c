"""A reader of a plugin that gives something else than it must: named, before its images are taken for pixels."""

from pathlib import Path

import pytest
import torch

from bench.data.opening import open_dataset
from bench.data.verification import verify
from bench.errors import RunFailure
from bench.extensions.registry import Registry
from bench.progress import Silent

CARD = """
name = "squares"
resolution = 4
channels = 1
normalisation = "half"
class_ids = ["a", "b"]

[[sources]]
layout = "squares"
"""
READER = """
import numpy as np
import torch
from pydantic import BaseModel

from bench.data.datasets import Reader, Source
from bench.hookspecs import Offer, hookimpl


class Nothing(BaseModel):
    pass


class Squares(Reader):
    Options = Nothing

    def looked_for(self, card, source):
        return "squares"

    def locate(self, card, source, root):
        return Source(source.layout, root, {"train": (root / "squares",), "test": (root / "squares",)}, card.order, {})

    def labels(self, source, split):
        return torch.arange(6) % 2

    def encoded(self, source, split, indices):
        for index in indices:
            yield f"square {index}", np.full((1, 4, 4), 40 * index, np.uint8)


@hookimpl
def bench_readers():
    return [Offer("squares", Squares, "squares of one gray")]
"""
ARRAY = "np.full((1, 4, 4), 40 * index, np.uint8)"
LABELS = "torch.arange(6) % 2"
EXPECTED = r"uint8 \(C, H, W\) of one or three channels, are expected"


def written(folder: Path, before: str = "", after: str = "") -> tuple[Registry, str]:
    (folder / "squares").write_bytes(b"squares")
    (folder / "squares.toml").write_text(CARD)
    assert before in READER
    (folder / "reading.py").write_text(READER.replace(before, after))
    return Registry([str(folder / "reading.py")]), str(folder / "squares.toml")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (ARRAY, f"{ARRAY}.astype(np.float32) / 255", f"square 0: its reader gives float32 arrays; .*{EXPECTED}"),
        (ARRAY, f"{ARRAY}[0]", rf"square 0: its reader gives an array of shape \(4, 4\); .*{EXPECTED}"),
        (ARRAY, f"{ARRAY}.transpose(1, 2, 0)", r"an array of shape \(4, 4, 1\)"),
        (ARRAY, f"torch.from_numpy({ARRAY})", f"square 0: its reader gives a Tensor; .*{EXPECTED}"),
        ("in indices:", "in indices[:-1]:", "the reader of the layout 'squares' gave .* images for .* ind.* of test"),
        ("in indices:", "in [*indices, 0]:", "gave more images for .* ind.* of test"),
    ],
)
def test_images_that_are_none(tmp_path: Path, before: str, after: str, said: str) -> None:
    registry, card = written(tmp_path, before, after)
    report = verify(registry, card, tmp_path, Silent())
    assert not report.whole and all(len(split.broken) == 6 for split in report.splits)
    dataset = open_dataset(registry, card, tmp_path, tmp_path / "cache", Silent())
    with pytest.raises(RunFailure, match=said.replace("square 0", r"square \d")):
        dataset.test.take(torch.arange(6))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (f"({LABELS}).int()", r"int32 of shape \(6,\); int64 \(N,\) is expected$"),
        ("[0, 1] * 3", "a list; an int64 tensor"),
        ("torch.arange(6)", "0 to 5, not indices of 2 classes$"),
        (f"{LABELS} - 1", "-1 to 0, not indices of 2 classes$"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, labels: str, said: str) -> None:
    registry, card = written(tmp_path, LABELS, labels)
    start = "^the reader of the layout 'squares' gives as labels of (train|test) "
    with pytest.raises(RunFailure, match=start + said):
        verify(registry, card, tmp_path, Silent())
    with pytest.raises(RunFailure, match=start + said):
        open_dataset(registry, card, tmp_path, tmp_path / "cache", Silent()).test.take(torch.arange(1))


def test_images_of_an_edited_reader_are_decoded_again(tmp_path: Path) -> None:
    registry, card = written(tmp_path)
    first = open_dataset(registry, card, tmp_path, tmp_path / "cache", Silent())
    registry, card = written(
        tmp_path, "40 * index", "30 * index + 0"
    )  # of another length, which bytecode goes by within a second
    again = open_dataset(registry, card, tmp_path, tmp_path / "cache", Silent())
    last = torch.tensor([5])
    assert (int(first.test.take(last)[0, 0, 0, 0]), int(again.test.take(last)[0, 0, 0, 0])) == (200, 150)
    assert first.card_hash == again.card_hash, "what runs are known by is the content of files"
