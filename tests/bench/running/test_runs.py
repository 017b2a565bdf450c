"""A run does what is missing, says what it measured, and never takes a failure or a damaged file for a result."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import QUICK, Bench
from torch.nn.functional import cross_entropy

from bench.condensation import Condenser
from bench.data.splits import CachedSplit
from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.results import curves, records
from bench.results import rows as table
from bench.results.spec import Job
from bench.running.context import make_task, open_for
from bench.running.forecasting.forecast import foresee
from bench.sets import condensed as sets
from bench.storage.files import read_json, write_json
from bench.storage.shared.slots import LEASES
from bench.training.protocol import TrainingProtocol
from bench.training.teachers import load_teacher

CONTRACT = [
    "run",
    "status",
    "reason",
    "method",
    "dataset",
    "classes",
    "ipc",
    "images",
    "backbone",
    "eval_backbone",
    "protocol",
    "label_kind",
    "budget",
    "seed",
    "top1_mean",
    "top1_std",
    "top1_values",
    "top5_mean",
    "epochs",
    "ms_per_image_iteration",
    "iterations",
    "prepare_s",
    "synthesis_s",
    "label_s",
    "evaluation_s",
    "seconds_per_image",
    "peak_memory_bytes",
    "set_bytes",
    "label_bytes",
    "teacher_top1",
    "device",
    "precision",
    "versions",
    "control",
    "claim",
]


@pytest.mark.usefixtures("already_done")
def test_a_row_holds_every_field_of_the_contract_and_what_was_measured(bench: Bench) -> None:
    found = [bench.run(job) for job in bench.jobs(control=True, eval_seeds=2)]
    rows = table.rows(found)
    assert [row["method"] for row in rows] == ["sre2l", "random"]
    for row in rows:
        assert set(CONTRACT) <= set(row)
        assert row["status"] == "done"
        assert json.loads(json.dumps(row, allow_nan=False)) == row
    ours, control = rows
    assert ours["control"] == control["run"]
    assert (control["control"], control["is_control"]) == (None, True)
    assert ours["images"] == 6
    manifest = read_json(bench.runs / ours["run"] / "condensed" / "manifest.json")
    assert ours["image_format"] == manifest["pixels"] == "uint8"
    assert len(ours["top1_values"]) == 2
    assert ours["iterations"] == 30
    assert ours["ms_per_image_iteration"]["median"] > 0
    assert ours["peak_memory_bytes"]["rss"] > 1e6
    assert ours["peak_memory_bytes"]["allocated"] is None
    assert 0 <= ours["teacher_top1"] <= 100


def test_under_hard_labels_one_control_serves_methods_of_different_backbones(bench: Bench) -> None:
    asked = {"control": True, "backbones": ("convnet3-w32-bn", "convnet3"), "eval_backbones": ("convnet3",)}
    for protocol, controls in (("hard", 1), ("soft", 2)):
        jobs = bench.jobs("herding", protocols=(protocol,), **asked)
        assert len({job.spec.name for job in jobs if job.spec.method.name == "random"}) == controls


@pytest.mark.usefixtures("already_done")
def test_the_control_has_the_same_protocol_labels_and_teacher_and_no_iterations(bench: Bench) -> None:
    ours, control = table.rows([bench.run(job) for job in bench.jobs(control=True)])
    for shared in ("protocol", "protocol_id", "label_kind", "teacher_top1", "eval_backbone", "epochs", "label_bytes"):
        assert ours[shared] == control[shared], shared
    assert control["ms_per_image_iteration"] is None
    assert control["iterations"] is None


@pytest.mark.usefixtures("already_done")
def test_a_row_and_its_control_say_what_was_changed_and_from_what(bench: Bench) -> None:
    ours, control = table.rows([bench.run(job) for job in bench.jobs(control=True)])
    recipe = bench.jobs(changes=())[0].spec.method.config
    was = {"squeeze.epochs": recipe["squeeze"]["epochs"], "recover.iterations": recipe["recover"]["iterations"]}
    assert was["squeeze.epochs"] != 2 and was["recover.iterations"] != 30
    wanted = {"squeeze.epochs": [was["squeeze.epochs"], 2], "recover.iterations": [was["recover.iterations"], 30]}
    assert ours["changed"] == control["changed"] == wanted


def test_a_row_says_what_the_teacher_makes_of_the_stored_set(bench: Bench) -> None:
    jobs = bench.jobs(control=True, changes=("squeeze.epochs=12", "recover.iterations=1"))
    ours, control = table.rows([bench.run(job) for job in jobs])
    condensed = sets.load(bench.runs / ours["run"] / "condensed")
    (teacher,), job = condensed.labels.teachers, jobs[0]
    place = bench.place()
    task = make_task(job.spec, open_for(job.spec, Registry(), place), Registry(), place, bench.folder)
    with torch.no_grad():
        logits = load_teacher(task, teacher)(condensed.normalised())
    classes, seen = condensed.images.classes, ours["teacher_on_set"]
    assert seen["top1"] == pytest.approx(100 * float((logits.argmax(1) == classes).float().mean()))
    assert seen["cross_entropy"] == pytest.approx(float(cross_entropy(logits, classes)), rel=1e-5)
    assert ours["warnings"] and "the recovery is not finished" in ours["warnings"][-1]
    assert not any("recovery" in each for each in control["warnings"]) and control["teacher_on_set"]["top1"] > 0


@pytest.mark.usefixtures("hard_done")
def test_scores_say_what_was_predicted_and_on_how_many_images(bench: Bench) -> None:
    (job,) = bench.jobs("random", protocols=("hard",))
    ((score,),) = (each.scores for each in bench.run(job).evaluations.values())
    labels = open_for(job.spec, Registry(), bench.place()).test.labels
    counts = [int((labels == index).sum()) for index in range(3)]
    tested = {"images": sum(counts), "largest_class": 100 * max(counts) / sum(counts)}
    assert score.test and score.test.to_json() == tested
    assert 100 / 3 <= (score.most_predicted or 0.0) <= 100


@pytest.mark.usefixtures("already_done")
def test_a_cached_stage_reports_what_it_cost_when_it_was_made(bench: Bench) -> None:
    (first,), (second,) = bench.jobs(), bench.jobs(ipcs=(1,))
    made, reused = bench.run(first).costs.prepare_s, bench.run(second).costs.prepare_s
    assert made and reused
    assert reused > made / 2  # to look it up takes a thousandth


def test_decoding_is_no_methods_nor_protocols_cost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    def noting(owner: type, name: str) -> None:
        function = getattr(owner, name)

        def noted(self: Any, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever it takes and gives
            events.append(f"{name} {self.decoder.split}" if owner is CachedSplit else name)
            return function(self, *given, **named)

        monkeypatch.setattr(owner, name, noted)

    for owner, name in ((CachedSplit, "ready"), (Condenser, "prepare"), (TrainingProtocol, "evaluate")):
        noting(owner, name)
    (job,) = bench.jobs("random")
    foresee(job, Registry(), bench.place())
    assert events == ["ready train", "ready test", "prepare", "evaluate"]
    events.clear()
    bench.run(job)
    assert events == ["ready train", "ready test", "prepare", "ready test", "evaluate"]


def test_a_finished_run_is_not_done_again(bench: Bench) -> None:
    (job,) = bench.jobs()
    first = bench.run(job)
    before = _times(bench.runs)
    again = bench.run(job)
    assert again.costs == first.costs
    assert again.evaluations == first.evaluations
    changed = {path.name for path, time in _times(bench.runs).items() if before.get(path) != time}
    assert changed <= {"record.json"}


@pytest.mark.usefixtures("already_done")
def test_one_more_backbone_evaluates_only_that_one(bench: Bench) -> None:
    bench.run(bench.jobs()[0])
    before = _times(bench.runs)
    (job,) = bench.jobs(eval_backbones=("convnet3-w32-bn", "convnet3"))
    record = bench.run(job)
    assert {each.backbone for each in record.evaluations.values()} == {"convnet3-w32-bn", "convnet3"}
    changed = {path.name for path, time in _times(bench.runs).items() if before.get(path) != time}
    assert changed == {"record.json", "sre2l-c100-convnet3-0.json", "sre2l-c100-convnet3-0.curves.safetensors"}


def test_curves_lie_beside_the_scores(bench: Bench) -> None:
    (job,) = bench.jobs(method="random", protocols=("hard",))
    (evaluation,) = bench.run(job, looks=2).evaluations.values()
    (score,) = evaluation.scores
    found = curves.read(curves.path_of(bench.runs / job.spec.name, job.evaluations[0].key, 0))
    tested = int(found.confusion.sum())
    assert score.test
    assert tested == score.test.images
    assert 100 * int(found.confusion.trace()) / tested == pytest.approx(score.top1)
    assert len(found.train_loss) == score.epochs
    assert len(found.test_top1) == 2


@pytest.mark.usefixtures("already_done")
def test_hard_and_soft_protocols_label_for_all_methods_alike(bench: Bench) -> None:
    jobs = bench.jobs(protocols=("hard", "soft"), control=True)
    rows = table.rows([bench.run(job) for job in jobs])
    assert {(row["method"], row["protocol"], row["label_kind"]) for row in rows} == {
        ("sre2l", "paper", "online"),  # which the run has had before
        ("sre2l", "hard", "hard"),
        ("sre2l", "soft", "teacher"),
        ("random", "hard", "hard"),
        ("random", "soft", "teacher"),
    }
    assert len(jobs) == 2  # one control serves both


@pytest.mark.usefixtures("already_done")
def test_an_interrupted_recovery_continues_to_the_same_images_and_scores(bench: Bench) -> None:
    (job,) = bench.jobs()
    bench.run(job)
    wanted = sets.load(bench.runs / job.spec.name / "condensed").images.pixels
    other = Bench(bench.folder / "other")
    steps = 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        return steps > 40

    for _ in range(50):
        steps = 0
        try:
            record = other.run(job, should_stop=stop)
            break
        except Interrupted:
            continue
    assert torch.equal(sets.load(other.runs / job.spec.name / "condensed").images.pixels, wanted)
    assert _top1(record) == _top1(bench.run(job))


@pytest.mark.usefixtures("already_done")
@pytest.mark.parametrize("victim", ["condensed/images.safetensors", "costs.json", "record.json"])
def test_a_damaged_result_is_set_aside_and_made_again_the_same(bench: Bench, victim: str) -> None:
    (job,) = bench.jobs()
    first = bench.run(job)
    folder = bench.runs / job.spec.name
    wanted = sets.load(folder / "condensed").images.pixels.clone()
    _flip(folder / victim)
    again = bench.run(job)
    assert torch.equal(sets.load(folder / "condensed").images.pixels, wanted)
    assert _top1(again) == _top1(first)
    assert any("altered" in warning or "JSON" in warning for warning in bench.ear.heard)
    assert list(bench.runs.rglob("*.corrupt-1"))


@pytest.mark.usefixtures("already_done")
def test_a_damaged_teacher_is_squeezed_again(bench: Bench) -> None:
    bench.run(bench.jobs()[0])
    (stage,) = (bench.cache / "stages").glob("teacher-*/result.safetensors")
    _flip(stage)
    (job,) = bench.jobs(seeds=(0,), ipcs=(1,))
    record = bench.run(job)
    assert record.status == "done"
    assert sorted(str(stage.kind) for stage in record.costs.stages.values()) == ["bn-health", "teacher"]
    assert any("made again" in warning for warning in bench.ear.heard)


@pytest.mark.usefixtures("already_done")
def test_a_cache_that_was_cleared_is_filled_again_for_labels_made_online(bench: Bench) -> None:
    bench.run(bench.jobs()[0])
    shutil.rmtree(bench.cache / "stages")
    (job,) = bench.jobs(eval_backbones=("convnet3",))
    assert bench.run(job).evaluations["sre2l-c100-convnet3"].status == "done"


@pytest.mark.usefixtures("already_done")
def test_stored_and_online_labels_are_counted_as_what_a_user_must_keep(bench: Bench) -> None:
    (online,), (stored,) = bench.jobs(), bench.jobs(changes=(*QUICK, "relabel.labels=stored"))
    first, second = bench.run(online).costs.to_json(), bench.run(stored).costs.to_json()
    assert (first["label_kind"], second["label_kind"]) == ("online", "stored")
    epochs = next(iter(bench.run(stored).evaluations.values())).scores[0].epochs
    assert epochs * 6 * 3 * 2 <= second["label_bytes"] < epochs * 6 * 3 * 2 + 1000
    assert second["label_s"] > 0
    assert first["label_bytes"] > 70_000  # the teacher's weights


def test_the_spec_is_the_name(bench: Bench) -> None:
    (first,), (second,) = bench.jobs(), bench.jobs(changes=("squeeze.epochs=2", "recover.iterations=31"))
    assert first.spec.hash != second.spec.hash
    assert first.spec.name.startswith("sre2l-digits-ipc2-convnet3-w32-bn-s0-")
    assert Job.from_json(json.loads(json.dumps(first.to_json()))) == first


def test_what_failed_is_recorded_and_not_taken_for_a_result_nor_retried_unasked(bench: Bench) -> None:
    (job,) = bench.jobs(changes=("squeeze.epochs=2", "recover.iterations=60", "recover.bn_weight=1e38"))
    record = bench.run(job)
    assert record.status == "failed"
    assert "NaN" in str(record.reason)
    (row,) = table.rows([record])
    assert (row["status"], row["top1_mean"], row["top1_values"]) == ("failed", None, [])
    squeezed = bench.cache / "stages"
    shutil.rmtree(squeezed)
    assert bench.run(job).status == "failed"
    assert not squeezed.exists()  # nothing was tried


@pytest.mark.usefixtures("already_done")
def test_a_failed_run_that_could_work_now_is_done_when_asked(bench: Bench) -> None:
    (job,) = bench.jobs()
    first = bench.run(job)
    folder = bench.runs / job.spec.name
    content = read_json(folder / "record.json")
    write_json(folder / "record.json", {**content, "status": "failed", "reason": "killed"})
    assert bench.run(job).reason == "killed"
    assert _top1(bench.run(job, retry=True)) == _top1(first)


@pytest.mark.usefixtures("hard_done")
def test_the_picture_shows_the_set(bench: Bench) -> None:
    from PIL import Image

    (job,) = bench.jobs("random", protocols=("hard",))
    with Image.open(bench.runs / job.spec.name / "preview.png") as picture:
        assert picture.width > 50
        assert len(set(picture.convert("L").get_flattened_data())) > 10


def _top1(record: records.Record) -> list[Any]:
    return [score.top1 for each in record.evaluations.values() for score in each.scores]


def _times(folder: Path) -> dict[Path, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and LEASES not in path.parts)
    return {path: path.stat().st_mtime_ns for path in files}


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
