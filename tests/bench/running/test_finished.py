"""A finished job is answered without a process of its own, after the same verification, with the same record."""

import shutil
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benching import Bench

from bench.extensions.registry import Registry
from bench.results import records
from bench.results.outcomes import Score
from bench.results.records import Record
from bench.results.rows import rows
from bench.results.spec import Job
from bench.running.executors import OneWorker, Skipped, SpreadExecutor
from bench.running.executors.processes import Ended
from bench.running.finished import is_done
from bench.running.record_keeping import crashed, ended
from bench.running.runner import Run
from bench.storage.files import read_json, write_json
from bench.storage.shared.leases import locked

LONGER = """
from bench.hookspecs import Offer, hookimpl
from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol

RECIPE = {"source": "a test", "epochs": 1, "batch_size": 8, "lr": 0.01, "weight_decay": 0.0, "schedule": "constant"}
BOOK = RecipeBook({"recipes": {"small": RECIPE, "large": RECIPE}})


@hookimpl
def bench_protocols():
    return [Offer("longer", TrainingProtocol("longer", "hard", BOOK), "one epoch")]
"""
PLUGIN = str(Path(__file__).with_name("noting_methods.py"))


class Idle(OneWorker):
    """It does not start a child but says that it would have."""

    def submit(self, *_: object) -> "Future[Ended]":
        future: Future[Ended] = Future()
        future.set_result(Ended("owned", {"reason": "a child was started"}, 0, False))
        return future


def answer(bench: Bench, job: Job, *, retry: bool = False) -> Record | Skipped:
    (outcome,) = SpreadExecutor(Registry((PLUGIN,)), bench.place(), retry, hire=lambda: Idle(bench.cache)).run([job])
    return outcome


@pytest.fixture
def noting(bench: Bench) -> Bench:
    return Bench(bench.folder, (PLUGIN,))


def scores_of(record: Record) -> list[Score]:
    return [score for each in record.evaluations.values() for score in each.scores]


def the_job(bench: Bench, **changes: Any) -> Job:  # noqa: ANN401 - the fields of Request
    (job,) = bench.jobs("modest", **{"protocols": ("honest",), **changes})
    return job


def test_it_is_the_record_that_a_process_of_its_own_would_give(noting: Bench) -> None:
    job = the_job(noting)
    first = noting.run(job)
    assert answer(noting, job) == noting.run(job) == first


def test_a_protocol_named_twice_is_answered_once(noting: Bench) -> None:
    noting.run(the_job(noting))
    found = answer(noting, the_job(noting, protocols=("honest", "honest")))
    assert isinstance(found, Record) and read_json(noting.runs / found.spec.name / "record.json")["status"] == "done"


@pytest.mark.parametrize(
    "victim", ["condensed/images.safetensors", "condensed/labels.safetensors", "costs.json", "record.json", "score"]
)
def test_what_is_damaged_is_not_finished(noting: Bench, victim: str) -> None:
    job = the_job(noting)
    first = noting.run(job)
    folder = noting.runs / job.spec.name
    path = next((folder / "evaluations").glob("*.json")) if victim == "score" else folder / victim
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert answer(noting, job) == Skipped(job, "a child was started")
    assert [each.scores[0].top1 for each in noting.run(job).evaluations.values()] == [12.5]
    assert isinstance(answer(noting, job), Record) and first.status == "done"


def test_scores_of_other_conditions_more_seeds_or_another_protocol_are_work(noting: Bench) -> None:
    job = the_job(noting)
    noting.run(job)
    (path,) = (noting.runs / job.spec.name / "evaluations").glob("*.json")
    assert isinstance(answer(noting, the_job(noting, eval_seeds=2)), Skipped)
    assert isinstance(answer(noting, the_job(noting, protocols=("hard",))), Skipped)
    write_json(path, {**read_json(path), "made_under": "something else"})
    assert isinstance(answer(noting, job), Skipped)


def test_a_failure_stands_until_it_is_to_be_done_again(noting: Bench) -> None:
    (job,) = noting.jobs("boaster", protocols=("honest",))
    reason = noting.run(job).reason
    found = answer(noting, job)
    assert isinstance(found, Record) and (found.status, found.reason) == ("failed", reason)
    assert isinstance(answer(noting, job, retry=True), Skipped)


def test_a_killed_training_hides_no_result_of_fewer_seeds(noting: Bench) -> None:
    """The record keeps it, and answers whoever asks for no more; the failure is of who asked for more."""
    two, three = (the_job(noting, eval_seeds=seeds) for seeds in (2, 3))
    before = noting.run(two)
    shown = crashed(three, noting.place(), "killed by design", Registry((PLUGIN,)))
    assert [each.status for each in shown.evaluations.values()] == ["failed"]
    assert records.read(noting.runs / two.spec.name).evaluations == before.evaluations
    assert answer(noting, two) == before


def test_a_failure_on_record_gives_way_to_the_scores_that_are_asked_for(noting: Bench) -> None:
    """As one that was written over a result of fewer seeds."""
    two = the_job(noting, eval_seeds=2)
    before = noting.run(two)
    failed = ended(the_job(noting, eval_seeds=3), before, "failed", "killed by design")
    records.write(noting.runs / two.spec.name, replace(before, evaluations=failed))
    assert isinstance(answer(noting, two), Skipped), "something is left to do"
    again = noting.run(two)
    assert [each.scores for each in again.evaluations.values()] == [e.scores for e in before.evaluations.values()]
    assert [each.status for each in again.evaluations.values()] == ["done"]


def test_a_set_made_alone_that_fails_is_on_record_with_what_was_asked_for(noting: Bench) -> None:
    (job,) = noting.jobs("boaster", protocols=("honest",))
    record = Run(job, Registry((PLUGIN,)), noting.place()).made_set()
    assert record is not None and record.reason
    (row,) = rows([records.read(noting.runs / job.spec.name)])
    assert (row["status"], row["reason"]) == ("failed", record.reason)


def test_a_set_made_alone_has_no_record_yet(noting: Bench) -> None:
    job = the_job(noting)
    assert Run(job, Registry((PLUGIN,)), noting.place()).made_set() is None
    folder = noting.runs / job.spec.name
    assert (folder / "costs.json").exists() and not (folder / "record.json").exists()


def test_a_record_that_cannot_be_read_is_no_finished_run(noting: Bench) -> None:
    job = the_job(noting)
    folder = noting.runs / job.spec.name
    folder.mkdir(parents=True)
    (folder / "record.json").symlink_to("record.json")
    assert not is_done(job, Registry((PLUGIN,)), noting.place())


def test_a_run_that_another_process_has_is_skipped_by_name(noting: Bench) -> None:
    job = the_job(noting)
    noting.run(job)
    with locked(noting.runs / f".{job.spec.name}.lock", noting.ear, wait=False):
        outcome = answer(noting, job)
    assert isinstance(outcome, Skipped) and outcome.reason.startswith("in use by process")


def test_what_is_not_there_yet_leaves_nothing_behind_when_it_is_looked_for(noting: Bench) -> None:
    job = the_job(noting)
    assert isinstance(answer(noting, job), Skipped)
    assert not noting.runs.exists()


def test_a_cleared_cache_is_not_filled_again_for_what_is_finished(bench: Bench) -> None:
    (job,) = bench.jobs()
    first = bench.run(job)
    shutil.rmtree(bench.cache / "stages")
    assert answer(bench, job) == first and not (bench.cache / "stages").exists()


def test_an_edited_plugin_file_is_said_and_its_set_kept(noting: Bench) -> None:
    copy = noting.folder / "edited.py"
    copy.write_text(Path(PLUGIN).read_text())
    edited = Bench(noting.folder, (str(copy),))
    first = edited.run(the_job(edited))
    edited.run(the_job(edited))
    assert not any("edited" in said for said in edited.ear.heard)
    copy.write_text(f"{copy.read_text()}\n# another thought\n")
    for _ in range(2):  # what is said once is true the next time as well
        edited.ear.heard.clear()
        assert edited.run(the_job(edited)).costs == first.costs
        (said,) = [said for said in edited.ear.heard if "was edited" in said]
        before = "its images are from before the method modest was edited"
        assert said.startswith(f"{first.spec.name}: {before}; ") and "bench clean" in said
        (row,) = rows([records.read(edited.runs / first.spec.name)])
        assert row["warnings"][0] == before


def test_what_failed_is_tried_again_once_its_file_was_mended(noting: Bench) -> None:
    copy, sound = noting.folder / "mended.py", Path(PLUGIN).read_text()
    copy.write_text(sound.replace("        return Images(", "        return 1 / 0, Images("))
    assert copy.read_text() != sound
    edited = Bench(noting.folder, (str(copy),))
    first = edited.run(the_job(edited))
    assert first.status == "failed" and "ZeroDivisionError" in (first.reason or "")
    assert edited.run(the_job(edited)) == first and not edited.ear.heard, "the same file fails the same way"
    copy.write_text(sound)
    looked = Run(the_job(edited), Registry(edited.plugins), edited.place())
    assert looked.found() is None and not edited.ear.heard, "whoever does it says it"
    again = edited.run(the_job(edited))
    (said,) = edited.ear.heard
    assert said == (f"{first.spec.name} failed before with another version of its plugin (mended): tried again")
    assert again.status == "done" and [each.done for each in again.evaluations.values()] == [True]


def test_an_evaluation_that_failed_is_tried_again_once_its_protocol_was_mended(noting: Bench) -> None:
    path = noting.folder / "longer.py"
    broken = "class Broken(TrainingProtocol):\n    def evaluate(self, *_):\n        return 1 / 0\n\n\n"
    path.write_text(LONGER.replace(', TrainingProtocol("', ', Broken("').replace("RECIPE =", f"{broken}RECIPE =", 1))
    noting = Bench(noting.folder, (PLUGIN, str(path)))
    job = the_job(noting, methods=("random",), protocols=("longer",))
    first = noting.run(job)
    assert first.status == "done" and [each.status for each in first.evaluations.values()] == ["failed"]
    assert noting.run(job) == first and not noting.ear.heard
    path.write_text(LONGER)
    again = noting.run(job)
    (said,) = noting.ear.heard
    assert said.startswith(first.spec.name) and said.endswith("another version of its plugin (longer): tried again")
    assert [each.status for each in again.evaluations.values()] == ["done"] and again.costs == first.costs


def test_scores_by_an_edited_protocol_file_are_said(noting: Bench) -> None:
    path = noting.folder / "longer.py"
    path.write_text(LONGER)
    noting = Bench(noting.folder, (PLUGIN, str(path)))
    job = the_job(noting, methods=("random",), protocols=("longer",))
    first = noting.run(job)
    noting.run(job)
    assert not any("edited" in said for said in noting.ear.heard)
    path.write_text(f"{LONGER}\n# another thought\n")  # what a recipe says is a condition of scores; code is none
    kept = noting.run(job)
    assert scores_of(kept) == scores_of(first)
    (said,) = [said for said in noting.ear.heard if "edited" in said]
    before = "its scores are from before the protocol longer was edited"
    assert said.startswith(f"{first.spec.name}, longer-convnet3-w32-bn: {before}; ")
    assert before in rows([kept])[0]["warnings"]
    path.write_text(LONGER.replace('"lr": 0.01', '"lr": 0.02'))
    noting.ear.heard.clear()
    assert noting.run(job).evaluations != first.evaluations
    assert not any("from before" in said for said in noting.ear.heard)


ALIKE = """
from bench.condensation import Condenser, Images, MethodConfig
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl


class Same(Condenser[MethodConfig]):
    def synthesize(self, task, unit):
        return Images(task.dataset.train.take(task.dataset.train.labels.argsort()[:3]) * 0 + VALUE, FAULT)


class Judge(Protocol):
    name, labels = "judge", "hard"

    def evaluate(self, condensed, task, backbone, seed):
        return Scores(float(VALUE), None, epochs=3, seconds=1.0)


@hookimpl
def bench_methods():
    return [Offer("same", Same, "the same images")]


@hookimpl
def bench_protocols():
    return [Offer("judge", Judge(), "the same score")]
"""
ARRANGED = "__import__('torch').arange(3)"


def of_plugin(bench: Bench, name: str, value: int, fault: str = ARRANGED) -> tuple[Bench, Job]:
    path = bench.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(ALIKE.replace("VALUE", str(value)).replace("FAULT", fault))
    here = Bench(bench.folder, (str(path),))
    return here, here.jobs("same", protocols=("judge",), ipcs=(1,))[0]


def test_scores_of_another_plugin_under_the_same_names_are_said_and_in_no_mean(bench: Bench) -> None:
    here, job = of_plugin(bench, "one.py", 10)
    assert here.run(job).evaluations["judge-convnet3-w32-bn"].scores[0].top1 == 10
    told = read_json(here.runs / job.spec.name / "condensed" / "manifest.json")["plugins"]
    assert told == {"method same": "one"}, "its network is the suite's"
    there, job = of_plugin(bench, "two.py", 90)
    kept = there.run(job)
    moved = "from before the {} moved from one to two"
    assert rows([kept])[0]["warnings"][:2] == [
        f"its images are {moved.format('method same')}",
        f"its scores are {moved.format('protocol judge')}",
    ]
    more = replace(job, evaluations=tuple(replace(each, seeds=2) for each in job.evaluations))
    dry = Registry(there.plugins)
    assert [score.top1 for score in there.run(more).evaluations["judge-convnet3-w32-bn"].scores] == [90, 90]
    assert is_done(more, dry, there.place())
    assert any("are made again: no mean is taken over two codes" in said for said in there.ear.heard)


def test_what_failed_is_tried_again_with_another_plugin_of_the_same_names(bench: Bench) -> None:
    here, job = of_plugin(bench, "one.py", 10, fault="1 / 0")
    assert here.run(job).status == "failed"
    there, job = of_plugin(bench, "two.py", 10)
    assert there.run(job).status == "done"
    assert any(said.endswith("another version of its plugin (two): tried again") for said in there.ear.heard)


def test_what_is_kept_without_a_word_on_code_stays_what_it_is(bench: Bench) -> None:
    """Records of before that: of what is installed nothing was kept, of files their content."""
    here, job = of_plugin(bench, "one.py", 10)
    here.run(job)
    folder = here.runs / job.spec.name
    for path in (folder / "record.json", folder / "costs.json", *(folder / "evaluations").glob("*.json")):
        write_json(path, without_code(read_json(path)))
    here.ear.heard.clear()
    record = here.run(job)
    assert not here.ear.heard and not any("from before" in said for said in rows([record])[0]["warnings"])
    there, job = of_plugin(bench, "two.py", 90)
    assert rows([there.run(job)])[0]["warnings"][0] == "its images are from before the method same moved to two"


def without_code(content: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(content, list):
        return [without_code(each) for each in content]
    if isinstance(content, dict):
        return {key: without_code(each) for key, each in content.items() if key not in ("code", "edited")}
    return content


def test_networks_are_looked_at_where_something_is_left_to_do(
    bench: Bench, hard_done: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look imports much; a finished grid is a table at once."""
    looked: list[str] = []
    monkeypatch.setattr("bench.planning.checks.check_network", lambda name, *_, **__: looked.append(name))
    ask = {"protocols": ("hard",)}
    (job,) = bench.jobs("random", **ask)
    assert looked == []
    bench.jobs("random", **ask, eval_backbones=("convnet1",))
    bench.jobs("random", **ask, eval_seeds=2)
    bench.jobs("random", **ask, ipcs=(1,))
    assert looked == ["convnet3-w32-bn", "convnet1", "convnet3-w32-bn", "convnet3-w32-bn"]
    (bench.runs / job.spec.name / "record.json").write_text("{}")
    bench.jobs("random", **ask)
    assert looked[4:] == ["convnet3-w32-bn"] and (bench.runs / job.spec.name / "record.json").exists()
