"""Whole runs of a method on whitened images with soft labels: what is kept, what the control is given, what is read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench
from child_work import children_here
from PIL import Image

from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.running.forecasting.forecast import foresee
from bench.sets import condensed as sets
from bench.storage.files import read_json
from bench.storage.tensor_files import read_tensors
from bench.testing import MethodConformance

PLUGIN = str(Path(__file__).with_name("whitening_methods.py"))


@pytest.fixture
def whitening(bench: Bench) -> Bench:
    bench.plugins = (PLUGIN,)
    return bench


class TestConformance(MethodConformance):
    name = "whitened"
    plugins = (PLUGIN,)


def test_a_control_is_trained_under_the_methods_own_preprocessing(whitening: Bench) -> None:
    jobs = whitening.jobs("whitened", protocols=("sre2l-c100",), control=True)
    records = {job.spec.method.name: whitening.run(job) for job in jobs}
    assert [record.status for record in records.values()] == ["done", "done"]
    names = (records[name].spec.name for name in ("whitened", "random"))
    made, control = (sets.load(whitening.runs / name / "condensed") for name in names)
    assert control.preprocessing.kind == "zca" and control.preprocessing == made.preprocessing
    assert control.images.pixels.dtype == torch.uint8 and made.images.pixels.dtype == torch.float32
    assert torch.equal(control.normalised(), control.preprocessing.apply(control.images.pixels))
    kinds = [next(iter(record.evaluations.values())).label_kind for record in records.values()]
    assert kinds == ["soft", "hard"], "the labeller has soft labels for its own images only"
    assert [record.costs.preprocessing for record in records.values()] == ["zca", "zca"]
    assert records["whitened"].costs.to_json()["set_bytes"] > 4 * 64 * 64, "the matrix is part of the set"


class TestConformanceInItsOwnTask(MethodConformance):
    name = "seeing"
    plugins = (PLUGIN,)


def test_a_method_works_in_the_task_that_its_prepare_returned(whitening: Bench) -> None:
    """Bit for bit as one that keeps the whitening itself, its control and its forecast included."""
    found = {}
    for name in ("whitened", "seeing"):
        jobs = whitening.jobs(name, protocols=("sre2l-c100",), control=True)
        assert all(foresee(job, Registry((PLUGIN,)), whitening.place()).disk_bytes for job in jobs)
        records = [whitening.run(job) for job in jobs]
        assert [record.status for record in records] == ["done", "done"]
        found[name] = [sets.load(whitening.runs / record.spec.name / "condensed") for record in records]
    for kept, returned in zip(*found.values(), strict=True):
        assert torch.equal(kept.images.pixels, returned.images.pixels)
        assert returned.preprocessing.kind == "zca" and returned.preprocessing == kept.preprocessing


def test_soft_labels_are_put_in_order_with_the_images_and_read_back_with_their_units(whitening: Bench) -> None:
    (job,) = whitening.jobs("whitened", protocols=("hard",))
    record = whitening.run(job)
    folder = whitening.runs / job.spec.name
    unit, _ = read_tensors(folder / "units" / "image1.safetensors")
    assert torch.allclose(unit["soft"], 0.1 + 0.7 * torch.eye(3))
    made = sets.load(folder / "condensed")
    assert made.images.classes.tolist() == [0, 0, 1, 1, 2, 2]
    assert made.labels.kind == "soft"
    first, second = 0.05 + 0.85 * torch.eye(3), 0.1 + 0.7 * torch.eye(3)
    assert torch.allclose(made.labels.tensors["probabilities"], torch.stack([first, second], 1).flatten(0, 1))
    whitening_before = made.preprocessing.digest
    (folder / "condensed" / "zca.safetensors").write_bytes(b"damaged")
    again = whitening.run(job)
    assert sets.load(folder / "condensed").preprocessing.digest == whitening_before, "made again from its units"
    assert again.evaluations["hard-convnet3-w32-bn"].scores == record.evaluations["hard-convnet3-w32-bn"].scores
    assert read_json(folder / "condensed" / "manifest.json")["value_range"] == "whitened"


def test_labels_that_are_no_distributions_are_a_failure_with_its_reason(whitening: Bench) -> None:
    (job,) = whitening.jobs("no-distribution", protocols=("hard",))
    record = whitening.run(job)
    assert record.status == "failed"
    assert record.reason is not None and "unit image0: soft labels are no distributions" in record.reason


def test_a_method_that_whitens_is_refused_large_images_before_any_work(whitening: Bench, tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in ("a", "b"):
            (tmp_path / "pictures" / split / label).mkdir(parents=True)
            Image.new("RGB", (96, 96)).save(tmp_path / "pictures" / split / label / "0.png")
    card = tmp_path / "pictures.toml"
    card.write_text(
        'name = "pictures"\nresolution = 96\nnormalisation = "half"\n[[sources]]\nlayout = "image-folder"\n'
        '[sources.options]\npath = "pictures"\n'
    )
    wanted: dict[str, Any] = {"datasets": (str(card),), "ipcs": (1,), "classes": None, "data_root": tmp_path}
    assert whitening.jobs("whitened", **wanted)[0].spec.method.config == {"zca": False}
    with pytest.raises(UsageError, match="pictures has 96; set zca=false"):
        whitening.jobs("whitened", changes=("zca=true",), **wanted)
    assert not whitening.runs.exists()


def test_a_whitened_set_of_ours_is_scored_as_by_its_own_run(whitening: Bench) -> None:
    (job,) = whitening.jobs("whitened", protocols=("sre2l-c100",))
    own = whitening.run(job).evaluations["sre2l-c100-convnet3-w32-bn"].scores
    command = "evaluate -d digits --classes 3 --eval-backbone convnet3-w32-bn --protocol sre2l-c100 --budget quick"
    options = f"--eval-seeds 1 --no-control --precision fp32 --device cpu --format json --runs {whitening.runs}"
    folder = whitening.runs / job.spec.name / "condensed"
    with children_here():
        ended = whitening.spoken(*command.split(), *options.split(), str(folder))
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(ended.stdout)
    assert (row["top1_values"], row["label_kind"]) == ([score.top1 for score in own], "soft")
    assert row["preprocessing"] == "zca"
    again = read_json(whitening.runs / row["run"] / "condensed" / "manifest.json")
    assert again["zca"] == read_json(folder / "manifest.json")["zca"]
