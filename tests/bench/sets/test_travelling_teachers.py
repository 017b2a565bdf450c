"""A set with online labels is whole: its teacher's weights travel with it, and it scores the same elsewhere."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench
from safetensors.torch import load_file

import bench
from bench.cli.foreign_sets import described
from bench.cli.outcomes import rows_of
from bench.errors import CorruptArtefact, RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.labels import TeacherRef
from bench.reporting import Row
from bench.results import null_reasons as nulls
from bench.results.spec import Job
from bench.sets import condensed as sets
from bench.sets.condensed import TEACHER
from bench.storage.files import file_digest, link_or_copy, read_json, write_json
from bench.storage.tensor_files import write_tensors
from bench.testing import tiny_dataset, tiny_task
from bench.training.teachers import load_teacher


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Job, list[Row]]:
    """A small run of SRe2L, and its row."""
    bench = Bench(tmp_path_factory.mktemp("maker"))
    torch.set_num_threads(1)
    (job,) = bench.jobs("sre2l")
    return bench, job, rows_of([job], [bench.run(job)])


def moved(made: tuple[Bench, Job, list[Row]], elsewhere: Path) -> Path:
    """The set as another machine gets it: its files, none of them shared with the maker."""
    bench, job, _ = made
    return Path(shutil.copytree(bench.runs / job.spec.name / "condensed", elsewhere / "set"))


def evaluated(bench: Bench, folder: Path, **changes: Any) -> list[Row]:  # noqa: ANN401 - the fields of Request
    found = described(folder, "digits", "3", (), bench.folder / "data", bench.cache, Registry())
    asked = {"ipcs": found.ipcs, "changes": found.changes, "origin": found.origin}
    jobs = bench.jobs("imported", eval_backbones=("convnet3-w32-bn",), **asked, **changes)
    return rows_of(jobs, [bench.run(job) for job in jobs])


def test_a_set_with_online_labels_scores_the_same_where_its_makers_cache_is_not(
    tmp_path: Path, made: tuple[Bench, Job, list[Row]]
) -> None:
    (own,) = made[2]
    rows = evaluated(Bench(tmp_path), moved(made, tmp_path), control=True)
    (row,) = (row for row in rows if not row["is_control"])
    assert row["top1_values"] == own["top1_values"]
    assert (row["method"], row["backbone"], row["label_kind"]) == ("sre2l", "convnet3-w32-bn", "online")
    (control,) = (row for row in rows if row["is_control"])
    assert (control["status"], control["label_kind"], control["labels_of"]) == ("done", "online", "sre2l")
    assert control["teacher_top1"] == row["teacher_top1"] == own["teacher_top1"]
    assert (row["prepare_s"], row["null_reasons"]["prepare_s"]) == (None, nulls.IMPORTED)
    assert (control["prepare_s"], control["null_reasons"]["prepare_s"]) == (None, nulls.TEACHER_ELSEWHERE)
    assert not (tmp_path / "cache" / "stages").exists()


def test_a_loaded_set_labels_views_with_its_teacher(tmp_path: Path, made: tuple[Bench, Job, list[Row]]) -> None:
    """By hand: the network with the weights beside the set; they are what the run squeezed."""
    found = bench.load_set(moved(made, tmp_path))
    network = Registry().load("backbone", "convnet3-w32-bn")(3, 8, 1)
    network.load_state_dict(load_file(tmp_path / "set" / TEACHER))
    views = torch.rand(4, 1, 8, 8)
    assert torch.equal(found.teacher(views), network.eval()(views))
    assert (found.label_kind, found.temperature, found.probabilities) == ("online", 20.0, None)
    assert not any(each.requires_grad for each in found.teacher.parameters())
    (tmp_path / "set" / TEACHER).write_bytes(b"nothing")
    with pytest.raises(UsageError, match=TEACHER):
        bench.load_set(tmp_path / "set")


def test_the_teacher_is_listed_counted_once_and_shares_the_stages_blocks(made: tuple[Bench, Job, list[Row]]) -> None:
    bench, job, (row,) = made
    folder = bench.runs / job.spec.name / "condensed"
    assert set(json.loads((folder / "manifest.json").read_text())["files"]) >= {TEACHER}
    files = [(folder / name).stat().st_size for name in ("labels.safetensors", TEACHER)]
    assert row["label_bytes"] == sum(files)
    (stage,) = bench.cache.glob("stages/teacher-*/result.safetensors")
    assert stage.samefile(folder / TEACHER)


def test_where_no_link_can_be_made_the_content_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("another device")

    (tmp_path / "a").write_bytes(b"weights")
    monkeypatch.setattr(os, "link", refused)
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"weights" and not (tmp_path / "a").samefile(tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_an_altered_teacher_is_found_out(tmp_path: Path, made: tuple[Bench, Job, list[Row]]) -> None:
    folder = moved(made, tmp_path)
    content = bytearray((folder / TEACHER).read_bytes())
    content[-1] ^= 1
    (folder / TEACHER).write_bytes(content)
    with pytest.raises(CorruptArtefact, match=r"teacher\.safetensors is missing or altered"):
        sets.load(folder)


def test_a_set_from_before_teachers_travelled_takes_the_cache(
    tmp_path: Path, made: tuple[Bench, Job, list[Row]]
) -> None:
    folder, (own,) = moved(made, tmp_path), made[2]
    (folder / TEACHER).unlink()
    _rewritten(folder, lambda manifest: manifest["files"].pop(TEACHER))
    assert sets.sizes(folder)[1] > sets.load(folder).labels.teachers[0].bytes
    bench = Bench(tmp_path)
    (lost,) = evaluated(bench, folder)
    assert lost["status"] == "failed" and "the teacher's stage is missing" in lost["reason"]
    bench = Bench(tmp_path / "beside")
    shutil.copytree(made[0].cache, bench.cache)
    (row,) = evaluated(bench, folder)
    assert row["top1_values"] == own["top1_values"]


@pytest.mark.parametrize(
    ("name", "classes", "said"),
    [
        ("convnet3-w32", "3", r"is no convnet3-w32 for 3 classes of digits: it (lacks|has) "),
        ("convnet4-bnn", "3", "unknown backbone 'convnet4-bnn'; did you mean 'convnet4-bn'"),
    ],
)
def test_a_teacher_that_is_not_the_named_network_is_refused(
    tmp_path: Path, made: tuple[Bench, Job, list[Row]], name: str, classes: str, said: str
) -> None:
    folder = moved(made, tmp_path)
    _rewritten(folder, lambda manifest: manifest["labels"]["teacher"].update(backbone=name))
    with pytest.raises(UsageError, match=said):
        described(folder, "digits", classes, (), tmp_path / "data", tmp_path / "cache", Registry())
    ref = TeacherRef("0" * 32, "convnet3", None, 0, file=folder / TEACHER)
    with pytest.raises(RunFailure, match="holds the weights of convnet3-w32-bn, the set's manifest says convnet3"):
        load_teacher(tiny_task(tmp_path / "task", dataset=tiny_dataset()), ref)


def test_a_teacher_with_other_outputs_than_classes_is_refused(
    tmp_path: Path, made: tuple[Bench, Job, list[Row]]
) -> None:
    folder, dataset = moved(made, tmp_path), tiny_dataset(classes=4, resolution=8, channels=1)
    network = tiny_task(tmp_path / "task", dataset=dataset, backbone="convnet3-w32-bn").network(0)
    (folder / TEACHER).unlink()
    write_tensors(folder / TEACHER, network.state_dict(), {"backbone": "convnet3-w32-bn"})
    checksum = f"sha256:{file_digest(folder / TEACHER)}"
    _rewritten(folder, lambda manifest: manifest["files"].update({TEACHER: checksum}))
    with pytest.raises(UsageError, match=r"for 3 classes of digits: .* has shape \(4, \d+\), not \(3, \d+\)"):
        described(folder, "digits", "3", (), tmp_path / "data", tmp_path / "cache", Registry())


def _rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = read_json(folder / "manifest.json")
    change(manifest)
    write_json(folder / "manifest.json", manifest)
