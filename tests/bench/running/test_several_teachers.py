"""One set, several teachers of several backbones: labelled by their mean, whole elsewhere, one row that says so."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench

from bench.cli.foreign_sets import described
from bench.cli.outcomes import rows_of
from bench.errors import CorruptArtefact, UsageError
from bench.extensions.registry import Registry
from bench.interchange import importing
from bench.reporting import Row
from bench.results.spec import Job
from bench.running.context import make_task, open_for
from bench.sets import condensed as sets
from bench.storage.files import read_json, write_json
from bench.training.teachers import load_teacher

PLUGIN = str(Path(__file__).with_name("ensemble_methods.py"))
NAMED = "convnet3-w32-bn + convnet3"


def asked(bench: Bench, *changes: str, method: str = "ensemble", **more: Any) -> list[Job]:  # noqa: ANN401
    return bench.jobs(method, changes=changes, **more)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Job, Row]:
    """A small run whose labels two networks make."""
    bench = Bench(tmp_path_factory.mktemp("maker"), (PLUGIN,))
    torch.set_num_threads(1)
    (job,) = asked(bench)
    (row,) = rows_of([job], [bench.run(job)])
    return bench, job, row


def test_a_row_names_all_teachers_and_counts_the_bytes_of_all(made: tuple[Bench, Job, Row]) -> None:
    bench, job, row = made
    folder = bench.runs / job.spec.name / "condensed"
    assert (row["status"], row["label_kind"], row["teacher_backbone"]) == ("done", "online", NAMED)
    files = ("labels.safetensors", "teacher.safetensors", "teacher-2.safetensors")
    assert row["label_bytes"] == sum((folder / name).stat().st_size for name in files)
    said = read_json(folder / "manifest.json")["labels"]
    assert [each["backbone"] for each in said["teachers"]] == ["convnet3-w32-bn", "convnet3"] and "teacher" not in said
    assert len(list(bench.cache.glob("stages/teacher-*/result.safetensors"))) == 2


@torch.no_grad()
def test_their_accuracy_is_that_of_their_mean_logits(made: tuple[Bench, Job, Row], tmp_path: Path) -> None:
    bench, job, row = made
    labels = sets.load(bench.runs / job.spec.name / "condensed").labels
    place, registry = bench.place(), Registry(bench.plugins)
    task = make_task(job.spec, open_for(job.spec, registry, place), registry, place, tmp_path)
    test = task.dataset.test
    images = task.dataset.normalisation.apply(test.take(torch.arange(len(test))))
    logits = [load_teacher(task, each)(images).double() for each in labels.teachers]
    alone = [float(100 * (each.argmax(1) == test.labels).double().mean()) for each in logits]
    assert alone == [pytest.approx(each.top1) for each in labels.teachers]
    together = 100 * float((torch.stack(logits).mean(0).argmax(1) == test.labels).double().mean())
    assert row["teacher_top1"] == pytest.approx(together)


def moved(made: tuple[Bench, Job, Row], elsewhere: Path) -> Path:
    bench, job, _ = made
    return Path(shutil.copytree(bench.runs / job.spec.name / "condensed", elsewhere / "set"))


def test_elsewhere_it_scores_the_same(made: tuple[Bench, Job, Row], tmp_path: Path) -> None:
    folder, there = moved(made, tmp_path), Bench(tmp_path, (PLUGIN,))
    found = described(folder, "digits", "3", (), there.folder / "data", there.cache, Registry((PLUGIN,)))
    given = {"ipcs": found.ipcs, "changes": found.changes, "origin": found.origin, "protocols": ("few",)}
    (job,) = there.jobs("imported", **given)
    (row,) = rows_of([job], [there.run(job)])
    assert row["top1_values"] == made[2]["top1_values"]
    assert (row["teacher_backbone"], row["teacher_top1"]) == (NAMED, made[2]["teacher_top1"])
    assert not (tmp_path / "cache" / "stages").exists()


def test_each_lies_in_its_own_file_which_is_verified(made: tuple[Bench, Job, Row], tmp_path: Path) -> None:
    folder = moved(made, tmp_path)
    files = [folder / "teacher.safetensors", folder / "teacher-2.safetensors"]
    assert [each.file for each in sets.load(folder).labels.teachers] == files
    files[1].write_bytes(b"")
    with pytest.raises(CorruptArtefact, match=r"teacher-2\.safetensors is missing or altered"):
        sets.load(folder)


@pytest.mark.parametrize("named", [{"teacher": None}, {"teachers": None}, {"teachers": []}])
def test_a_manifest_names_one_teacher_or_several(
    made: tuple[Bench, Job, Row], tmp_path: Path, named: dict[str, Any]
) -> None:
    folder = moved(made, tmp_path)
    manifest = read_json(folder / "manifest.json")
    assert importing.about(folder)["labels"] == manifest["labels"]
    both = {"teacher": manifest["labels"]["teachers"][0]}
    labels = {**manifest["labels"], **(both if named == {"teacher": None} else named)}
    write_json(folder / "manifest.json", {**manifest, "labels": labels})
    with pytest.raises(UsageError, match="teachers"):
        importing.about(folder)


def test_one_teacher_is_written_as_ever(made: tuple[Bench, Job, Row], tmp_path: Path) -> None:
    bench = Bench(made[0].folder, (PLUGIN,))
    (job,) = asked(bench, 'teachers=["convnet3"]')
    (row,) = rows_of([job], [bench.run(job)])
    folder = bench.runs / job.spec.name / "condensed"
    labels = read_json(folder / "manifest.json")["labels"]
    assert labels.keys() == {"kind", "teacher", "temperature"}
    assert row["teacher_backbone"] == "convnet3" and row["teacher_top1"] == labels["teacher"]["top1"]


def test_labels_that_several_stored_name_all_and_need_none(made: tuple[Bench, Job, Row]) -> None:
    bench = Bench(made[0].folder, (PLUGIN,))
    (job,) = asked(bench, "labels=stored")
    (row,) = rows_of([job], [bench.run(job)])
    assert (row["status"], row["label_kind"], row["teacher_backbone"]) == ("done", "stored", NAMED)
    folder = bench.runs / job.spec.name / "condensed"
    assert not list(folder.glob("teacher*")) and row["teacher_top1"] == made[2]["teacher_top1"]
    assert [each.backbone for each in sets.load(folder).labels.teachers] == ["convnet3-w32-bn", "convnet3"]


@pytest.mark.parametrize(
    ("method", "change", "said"),
    [
        (
            "ensemble",
            'teachers=["convnet3", "convnet4-bm"]',
            "unknown backbone 'convnet4-bm'; did you mean 'convnet4-bn'?",
        ),
        ("normalised-ensemble", "temperature=2", "needs a backbone with batchnorm, which convnet3 lacks"),
        ("ensemble", 'teachers=["convnet3", "convnet4"]', "convnet4 needs images of at least 16 pixels a side"),
    ],
)
def test_backbones_that_a_config_names_are_checked_before_anything_is_made(
    tmp_path: Path, method: str, change: str, said: str
) -> None:
    bench = Bench(tmp_path, (PLUGIN,))
    with pytest.raises(UsageError) as error:
        asked(bench, change, method=method)
    assert said in str(error.value) and str(error.value).startswith(f"method {method!r} names a backbone")
    assert not bench.runs.exists()
