"""All training images as a row of its own: one run, whatever is asked of other methods, counted and never condensed."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench

from bench.cli.outcomes import rows_of
from bench.data.datasets import Dataset, Selection
from bench.data.splits import UnavailableSplit
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.planning import all_images
from bench.planning.planner import Planner
from bench.reporting.view import views
from bench.results.spec import Job, RunSpec
from bench.running.forecasting.forecast import foresee
from bench.sets import condensed as sets
from bench.testing import tiny_dataset

PLUGINS = tuple(str(Path(__file__).with_name(name)) for name in ("lying_methods.py", "sized_methods.py"))
METHOD = "full-data"


@pytest.fixture(autouse=True)
def untrained(bench: Bench) -> None:
    bench.plugins = PLUGINS


def planned(bench: Bench, *methods: str, **changes: Any) -> tuple[list[Job], list[str]]:  # noqa: ANN401 - of a request
    """The jobs, and what is said of them."""
    asked = {"protocols": ("untrained",), "control": True, "changes": (), **changes}
    planner = Planner(Registry(PLUGINS), bench.request(methods=methods, **asked), bench.ear, bench.runs)
    return planner.jobs(), planner.remarks


def counts(digits: Dataset) -> list[int]:
    """Of three digits, counted in Python."""
    found = Counter(digits.train.labels.tolist())
    return [found[label] for label in range(3)]


@pytest.mark.parametrize("word", ["full", "full_data", "fulldata", "dataset"])
def test_words_for_it_lead_to_it(word: str) -> None:
    with pytest.raises(UsageError, match="did you mean 'full-data'"):
        Registry().find("method", word)


def test_it_is_one_run_whatever_others_are_asked_for(bench: Bench, digits: Dataset) -> None:
    jobs, remarks = planned(
        *(bench, METHOD, "random"),
        ipcs=(1, 2),
        seeds=(3, 4),
        protocols=("untrained", "hard"),
        eval_backbones=("convnet1",),
    )
    own = [job for job in jobs if job.spec.method.name == METHOD]
    (only,) = own
    assert len(jobs) == 1 + 4
    fewest, most = min(counts(digits)), max(counts(digits))
    assert fewest < most, "an uneven dataset"
    spec = only.spec
    assert (spec.ipc, spec.seed) == (round(sum(counts(digits)) / 3), 0)
    assert (spec.images, spec.images_per_class) == (sum(counts(digits)), (fewest, most))
    assert only.controls == {}
    assert [(each.protocol, each.backbone) for each in only.evaluations] == [
        ("untrained", "convnet1"),
        ("hard", "convnet1"),
    ]
    said = f"digits: full-data is all {sum(counts(digits))} training images, whatever --ipc and --seed say"
    assert set(remarks) == {said}


def test_another_command_finds_the_same_run(bench: Bench) -> None:
    (one,), _ = planned(bench, METHOD, ipcs=(7,), seeds=(0,))
    (other,), _ = planned(bench, METHOD, ipcs=(), seeds=(5,), control=False)
    assert one.spec == other.spec


def test_one_run_serves_all_networks_but_where_they_are_teachers(bench: Bench) -> None:
    networks = ("convnet1", "convnet3")
    (one,), _ = planned(bench, METHOD, backbones=networks)
    assert one.spec.backbone == "convnet1"
    assert [each.backbone for each in one.evaluations] == list(networks)
    jobs, _ = planned(bench, METHOD, backbones=networks, protocols=("soft", "untrained"))
    found = {job.spec.backbone: [(each.protocol, each.backbone) for each in job.evaluations] for job in jobs}
    assert found == {
        "convnet1": [("soft", "convnet1"), ("untrained", "convnet1"), ("untrained", "convnet3")],
        "convnet3": [("soft", "convnet3")],
    }


def test_it_leaves_the_papers_number_of_images_to_others(bench: Bench) -> None:
    jobs, remarks = planned(bench, METHOD, "of-a-paper", ipcs=(), control=False)
    assert {job.spec.method.name: job.spec.ipc for job in jobs}["of-a-paper"] == 7
    assert "digits at 7 images per class, the paper's own for of-a-paper; --ipc says otherwise" in remarks
    assert not [said for said in planned(bench, METHOD, ipcs=())[1] if "images per class" in said]


def test_even_classes_are_told_as_of_any_method() -> None:
    extent = all_images.all_images(tiny_dataset(classes=4, per_class=9), METHOD)
    assert vars(extent) == {"ipc": 9, "seed": 0, "images": None, "images_per_class": None}


def test_what_is_too_large_to_be_kept_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = tiny_dataset(classes=4, per_class=9, resolution=16)  # 36 images of 768 bytes
    monkeypatch.setattr(all_images, "MOST_BYTES", 36 * 768)
    all_images.all_images(dataset, METHOD)
    monkeypatch.setattr(all_images, "MOST_BYTES", 36 * 768 - 1)
    said = r"^full-data keeps all training images as a set, and those of tiny take 27.0 KiB, more than 27.0 KiB; "
    with pytest.raises(UsageError, match=f"{said}name some classes by --classes$"):
        all_images.all_images(dataset, METHOD)
    assert all_images.all_images(dataset.only(dataset.classes[:3]), METHOD).ipc == 9


def test_images_that_are_not_here_cannot_be_counted() -> None:
    away = replace(tiny_dataset(), train=UnavailableSplit("no such file", damaged=False))
    with pytest.raises(UsageError, match=r"of tiny, which cannot be counted: no such file$"):
        all_images.all_images(away, METHOD)


def test_its_set_is_every_training_image_once(bench: Bench, digits: Dataset) -> None:
    (job,), _ = planned(bench, METHOD)
    record = bench.run(job)
    assert record.status == "done", record.reason
    kept = sets.load(bench.runs / job.spec.name / "condensed")
    assert isinstance(digits.train, Selection)
    real = digits.train.take(torch.arange(len(digits.train)))
    pairs = zip(kept.images.pixels, kept.images.classes.tolist(), strict=True)
    expected = zip(real, digits.train.labels.tolist(), strict=True)
    assert Counter((image.numpy().tobytes(), label) for image, label in pairs) == Counter(
        (image.numpy().tobytes(), label) for image, label in expected
    )
    manifest = json.loads((bench.runs / job.spec.name / "condensed" / "manifest.json").read_text())
    assert (manifest["method"], manifest["images"], manifest["ipc"]) == (METHOD, len(digits.train), job.spec.ipc)


def test_its_row_says_how_many_images_there_are(bench: Bench, digits: Dataset) -> None:
    (job,), _ = planned(bench, METHOD)
    (row,) = rows_of([job], [bench.run(job)])
    told = {name: row[name] for name in ("ipc", "images", "images_per_class", "control", "is_control", "label_kind")}
    sizes = counts(digits)
    assert told == {
        **{"ipc": round(sum(sizes) / 3), "images": sum(sizes), "images_per_class": [min(sizes), max(sizes)]},
        **{"control": None, "is_control": False, "label_kind": "hard"},
    }
    (view,) = views([row], claims=False)
    assert "digits, 3 of 10 classes, all images" in view.heading and "condensed with" not in view.heading
    assert "full-data: all real images, an upper bound and no condensed set" in view.notes
    uneven = f"full-data: its classes have {min(sizes)} to {max(sizes)} images, {sum(sizes)} in all"
    assert uneven in view.notes


def test_a_spec_keeps_the_numbers_and_older_ones_have_none(bench: Bench) -> None:
    (job,), _ = planned(bench, METHOD)
    content = json.loads(json.dumps(job.spec.to_json()))
    assert RunSpec.from_json(content) == job.spec
    older = {name: value for name, value in content.items() if name not in ("images", "images_per_class")}
    assert RunSpec.from_json(older) == replace(job.spec, images=None, images_per_class=None)
    assert RunSpec.from_json(older).hash == job.spec.hash


def test_a_dry_run_foresees_all_images(bench: Bench, digits: Dataset) -> None:
    (job,), _ = planned(bench, METHOD)
    found = foresee(job, Registry(PLUGINS), bench.place())
    assert found.status == "to do"
    assert found.disk_bytes == 2 * len(digits.train) * 64, "unit and set, 64 bytes a digit; hard labels have none"
