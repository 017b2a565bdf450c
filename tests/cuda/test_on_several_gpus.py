"""Several GPUs side by side make what one makes. Where there are fewer than two these say so."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench
from torch import Tensor
from torch.nn.functional import cosine_similarity

from bench import load_set

COUNT = torch.cuda.device_count()
pytestmark = pytest.mark.skipif(COUNT < 2, reason=f"needs two CUDA devices, and there are {COUNT}")
ALL, ONE = ("--device", "cuda"), ("--device", "cuda:0")


def made(folder: Path, *words: str) -> tuple[dict[str, Any], Tensor]:
    """The row of a run of two units, and its images."""
    folder.mkdir()
    bench = Bench(folder)
    changes = ("--set", "squeeze.epochs=2", "--set", "recover.iterations=30", "--compile", "never")
    ended = bench.typed("-m", "sre2l", "--no-control", "--format", "json", *changes, *words)
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(ended.stdout)
    return row, load_set(bench.runs / row["run"]).pixels.float()


def alike(images: Tensor, expected: Tensor) -> float:
    """The least cosine of an image and the one that it should be, both around the mean of all pixels."""
    mean = expected.mean()
    return float(cosine_similarity((images - mean).flatten(1), (expected - mean).flatten(1)).min())


def test_all_gpus_share_the_units_of_a_run(tmp_path: Path) -> None:
    """Two units, so two of them; each image is the one that a single GPU makes, up to the order of its sums."""
    (together, images), (alone, expected) = made(tmp_path / "all", *ALL), made(tmp_path / "one", *ONE)
    assert together["device"] == alone["device"]
    assert (together["workers"], alone["workers"]) == (2, 1)
    assert images.shape == expected.shape
    assert alike(images, expected) > 0.99


def test_a_gpu_that_is_named_is_the_one_that_works(tmp_path: Path) -> None:
    """The second has all that the first has: nothing of a run lies on the first by mistake."""
    row, images = made(tmp_path / "second", "--device", "cuda:1")
    _, expected = made(tmp_path / "first", *ONE)
    assert row["peak_memory_bytes"]["allocated"] > 0
    assert alike(images, expected) > 0.99
