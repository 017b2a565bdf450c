"""What a dry run says: what is done costs nothing, what runs share is tried and counted once, what fails is said."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench
from child_work import children_here
from ears import Ear

from bench.cli.forecasts import table
from bench.extensions.registry import Registry
from bench.loops.checkpoints import SUFFIX
from bench.loops.pace import Trial
from bench.running.executors import SpreadExecutor
from bench.running.executors import local as executors
from bench.running.finished import is_done
from bench.running.forecasting.forecast import Forecast, foresee
from bench.running.forecasting.trial_counts import expectation
from bench.running.forecasting.trials import TrialStore, TriedStage
from bench.storage.artefacts import shaped
from bench.storage.shared.stages import Made, StageKey, StageStore

CPU = torch.device("cpu")
TEACHER = TriedStage("teacher", "ab12cd34", 5400.0, peak_bytes=3 << 30)
DIVERGES = ("squeeze.epochs=1", "squeeze.warmup_epochs=0", "squeeze.batch_size=2000", "squeeze.lr=1e38")


class Rehearsals:
    """Trials of one dry run, in this process."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.scratch = bench, bench.folder / "scratch"

    def of(self, **changes: Any) -> tuple[Forecast, set[str]]:  # noqa: ANN401 - the fields of Request
        """The forecast of one job, and what was worked on for it."""
        (job,), watcher = self.bench.jobs(**changes), Ear()
        found = foresee(job, Registry(), self.bench.place(progress=watcher), self.scratch)
        assert watcher.heard == []
        return found, {what for what, *_ in watcher.seen}


@pytest.fixture
def rehearsals(bench: Bench) -> Iterator[Rehearsals]:
    yield Rehearsals(bench)


def test_a_teacher_is_tried_once_and_is_the_same_in_every_run_that_has_it(rehearsals: Rehearsals) -> None:
    first, worked = rehearsals.of(ipcs=(1,), protocols=("soft",))
    assert worked >= {"squeeze", "recover", "evaluate"}
    second, worked = rehearsals.of(ipcs=(2,), protocols=("soft",))
    assert "squeeze" not in worked
    assert second.stages == first.stages
    assert all(stage.peak_bytes > 0 for stage in first.stages)
    own, shared = (stage for stage in first.stages if stage.kind == "teacher")
    assert second.prepare_s is not None and second.prepare_s >= own.seconds
    assert second.evaluation_prepare_s == pytest.approx(shared.seconds)
    assert first.total_s == pytest.approx(sum(first.to_json()[name] for name in PARTS))


PARTS = ("prepare_s", "synthesis_s", "label_s", "evaluation_prepare_s", "evaluation_s")


def test_another_seed_costs_the_same_is_not_tried_again_and_needs_a_teacher_of_its_own(rehearsals: Rehearsals) -> None:
    first, _ = rehearsals.of()
    second, worked = rehearsals.of(seeds=(1,))
    assert not worked & {"squeeze", "recover", "evaluate"}
    assert (second.synthesis_s, second.evaluation_s) == (first.synthesis_s, first.evaluation_s)
    ours, theirs = (next(each for each in found.stages if each.kind == "teacher") for found in (first, second))
    assert ours.hash != theirs.hash
    assert ours.seconds == theirs.seconds


@pytest.mark.usefixtures("hard_done")
def test_a_run_that_is_done_is_not_tried(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = bench.jobs("random", protocols=("hard",))
    bench.run(job)
    monkeypatch.setattr(executors, "run_child", None)
    (found,) = SpreadExecutor(Registry(), bench.place()).foresee([job])
    assert (found.status, found.total_s, found.stages) == ("done", 0.0, ())


def test_a_stage_that_is_found_costs_a_trial_nothing_if_kept_and_as_much_as_it_did_if_tried(tmp_path: Path) -> None:
    """Whether it is asked for by `find`, as that of a longer training is, or to be made."""
    kept, key = StageStore(tmp_path / "kept"), StageKey("expert", 1, {"epochs": 3})

    def trial() -> TrialStore:
        return TrialStore(kept, tmp_path / "scratch", Trial(CPU))

    assert trial().find(key) is None
    made = trial().get_or_make(key, lambda folder: Made({}, {}), CPU)
    another = trial()
    assert another.find(key) is not None
    assert [each.hash for each in another.tried()] == [key.hash] and another.tried()[0].seconds == made.cost.seconds
    assert another.get_or_make(key, lambda folder: Made({}, {}), CPU).cached and len(another.tried()) == 1
    kept.get_or_make(key, lambda folder: Made({}, {}), CPU)
    last = trial()
    assert last.find(key) is not None and last.tried() == []


@pytest.mark.usefixtures("already_done")
def test_of_a_run_whose_set_is_made_only_what_is_missing_is_left(bench: Bench, rehearsals: Rehearsals) -> None:
    bench.run(bench.jobs()[0])
    rehearsals.of(eval_seeds=2)  # what is tried first takes longer
    found = [rehearsals.of(eval_seeds=seeds)[0] for seeds in (2, 3, 4)]
    for each in found:
        assert (each.prepare_s, each.synthesis_s, each.label_s) == (0.0, 0.0, 0.0)
    two, three, four = (each.evaluation_s or 0.0 for each in found)
    assert 0 < two < three
    assert four - three == pytest.approx(three - two)  # each more is one more training


def test_what_a_stage_would_take_is_its_own_cost_and_nobody_elses(tmp_path: Path) -> None:
    """Ten of a thousand steps and more of 1 ms are walked within the stage; outside of it ten of ten."""
    pace = Trial(CPU)
    store = TrialStore(StageStore(tmp_path / "kept"), tmp_path / "scratch", pace)

    def make(folder: Path) -> Made:
        for _ in pace.walk("training", 0, 10_000):
            time.sleep(0.001)
        return Made({}, {})

    for index in pace.alike("experts", 5):
        store.get_or_make(StageKey("expert", 1, {"index": index}), make, CPU)
    for _ in pace.walk("matching", 0, 10):
        time.sleep(0.001)
    (expert,) = store.tried()
    (training,) = (sample for sample in pace.samples if sample.what == "training")
    assert training.whole_s >= 10.0
    assert expert.seconds == pytest.approx(5 * training.whole_s, rel=0.05)  # this one and the four like it
    assert store.outstanding(0) == pytest.approx(0.0, abs=0.1)


def test_a_stage_that_was_begun_costs_what_is_left_of_it_and_tells_what_others_cost(tmp_path: Path) -> None:
    """Of ten thousand steps of 1 ms nine thousand are saved; four more experts and one of another seed have none."""
    pace = Trial(CPU)
    kept, store = StageStore(tmp_path / "kept"), TrialStore(StageStore(tmp_path / "kept"), tmp_path / "scratch", pace)
    keys = [StageKey("expert", 1, {"index": index, "seed": 0}) for index in range(5)]
    saved = kept.folder("expert", keys[0].hash) / "work" / f"training{SUFFIX}"
    saved.parent.mkdir(parents=True)
    saved.write_bytes(b"9000")

    def make(folder: Path) -> Made:
        path = folder / saved.name
        for _ in pace.walk("training", int(path.read_bytes()) if path.exists() else 0, 10_000):
            time.sleep(0.001)
        return Made({}, {})

    def fails(folder: Path) -> Made:
        raise ValueError(folder)

    with pytest.raises(ValueError, match="work"):  # of another run of the same dry run
        store.get_or_make(keys[0], fails, CPU)
    for index in pace.alike("experts", 5):
        store.get_or_make(keys[index], make, CPU)
    store.get_or_make(StageKey("expert", 1, {"index": 0, "seed": 1}), make, CPU)
    begun, others, anew = pace.samples
    assert [(each.done, each.steps, each.rest) for each in pace.samples] == [
        (9_000, 1_000, False),
        (0, 4, True),
        (0, 10_000, False),
    ]
    assert begun.whole_s < others.step_s == pytest.approx(begun.whole_s + 9_000 * begun.step_s)
    assert all(stage.seconds >= each.whole_s for stage, each in zip(store.tried(), (begun, anew), strict=True))
    assert files(tmp_path / "kept").keys() == {str(saved.relative_to(tmp_path / "kept"))}


def test_of_a_run_whose_units_are_made_nothing_of_the_synthesis_is_left(bench: Bench, rehearsals: Rehearsals) -> None:
    (job,) = bench.jobs(ipcs=(2,))
    bench.run(job)
    folder = bench.runs / job.spec.name
    shutil.rmtree(folder / "condensed")
    for name in ("record.json", "costs.json"):
        (folder / name).unlink()
    first, last = sorted((folder / "units").glob("*.safetensors"))
    assert rehearsals.of(ipcs=(2,))[0].synthesis_s == 0.0
    last.unlink()
    shutil.rmtree(rehearsals.scratch)
    assert (rehearsals.of(ipcs=(2,))[0].synthesis_s or 0.0) > 0.0
    assert first.exists()


def test_a_slow_step_is_one_and_said_in_every_row_that_it_is_of(
    rehearsals: Rehearsals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every look at the clock of a trial is 20 s later."""
    clock = count(step=20)
    monkeypatch.setattr("bench.loops.pace.time.perf_counter", lambda: float(next(clock)))
    first, _ = rehearsals.of(protocols=("soft",))
    of_one = [note.split()[0] for note in first.notes if "stands on 1 of" in note]
    assert {"squeeze", "recover", "evaluate"} <= set(of_one)
    again, worked = rehearsals.of(protocols=("soft",), seeds=(1,))
    assert not worked & {"squeeze", "recover", "evaluate"}
    assert set(again.notes) == set(first.notes)
    assert shaped(Forecast, first.to_json()) == first


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below, with when it was written."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


@pytest.mark.usefixtures("hard_done")
@pytest.mark.parametrize("begun", ["done", "one seed more", "another control", "not scored", "damaged record"])
def test_a_run_that_has_begun_is_left_as_it_is(bench: Bench, begun: str) -> None:
    """A finished one, one that lacks something, and one of which something is damaged."""
    (job,) = bench.jobs("random", protocols=("hard",))
    bench.run(job)
    folder = bench.runs / job.spec.name
    if begun == "not scored":
        next((folder / "evaluations").glob("*.json")).unlink()
    elif begun == "damaged record":
        (folder / "record.json").write_text("{")
    elif begun == "one seed more":
        (job,) = bench.jobs("random", protocols=("hard",), eval_seeds=2)
    elif begun == "another control":
        job = replace(job, controls={job.evaluations[0].key: "another-run"})
    before = files(bench.runs)
    assert is_done(job, Registry(), bench.place()) is (begun in ("done", "another control"))
    foresee(job, Registry(), bench.place())
    assert files(bench.runs) == before


@pytest.mark.usefixtures("hard_done")
def test_what_will_be_tried_is_said_before_it_is(bench: Bench) -> None:
    """sre2l: a training and a test of the teacher, the recovery, a training and a test of a student."""
    done, left = bench.jobs("random", protocols=("hard",))[0], bench.jobs()[0]
    bench.run(done)
    heard: list[str] = []
    executor = SpreadExecutor(Registry(), bench.place())
    forecasts = executor.foresee([done, left], lambda jobs: heard.append(expectation(jobs, Registry())))
    assert next(forecasts).status == "done"
    said = "a trial of 1 run, about 5 loops of at most 10 s each: at most about 50 s, more only where single steps"
    assert heard == [f"{said} are slow, besides starting processes and reading data"]
    both = bench.jobs(seeds=(0, 1), protocols=("soft",))
    assert expectation(both, Registry()).startswith("a trial of 2 runs, about 7 loops ")  # and a shared teacher, once


def test_the_sum_counts_once_what_runs_share_and_names_it() -> None:
    parts = {"synthesis_s": 60.0, "prepare_s": 0.0, "label_s": 0.0, "evaluation_s": 0.0}
    shared = {"evaluation_prepare_s": TEACHER.seconds, "stages": (TEACHER,)}
    notes = [("few steps", "not compiled"), ("few steps",), ()]
    runs = [Forecast(f"run{n}", **parts, **shared, notes=notes[n - 1]) for n in (1, 2, 3)]  # type: ignore[arg-type]
    text = table([*runs, Forecast("run4", "done"), Forecast("run5", "failed", "the loss is not finite")])
    said = "In all 93 min, without 1 that failed to be tried; made once: teacher ab12cd (90 min) of 3 runs."
    tried = "Each loop was tried for at most 10 s, a slow step to its end."
    failed = "failed: run5: the loss is not finite"
    assert text.splitlines()[-5:] == [failed, tried, "few steps (run1 and 1 more)", "not compiled (run1)", said]
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith("run")}
    assert "3.0 GiB" in rows["run1"]
    assert rows["run4"].split() == ["run4", "done"]
    assert rows["run5"].split() == ["run5", "failed"]


def test_a_teacher_that_diverges_is_a_failed_row_with_its_reason(bench: Bench) -> None:
    sets = [word for change in (*DIVERGES, "recover.iterations=30") for word in ("--set", change)]
    with children_here():
        tried = bench.typed("-m", "sre2l", "--no-control", *sets, "--dry-run", "--format", "json")
    assert tried.returncode == 1
    (row,) = json.loads(tried.stdout)
    assert (row["status"], row["total_s"]) == ("failed", None)
    assert row["reason"].startswith("squeeze: the network gives NaN or infinity for 100 % of the test images")
    assert f"warning: {row['run']}: squeeze: the network gives NaN" in tried.stderr
    assert "Traceback" not in tried.stderr
    (job,) = bench.jobs(changes=DIVERGES)
    record = bench.run(job)
    assert record.status == "failed"
    assert str(record.reason).startswith("squeeze: the network gives NaN or infinity for 100 % of the test images")
