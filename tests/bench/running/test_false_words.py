"""What a child's process sends is held to what was asked for: a false record is one failed row, and no table ends."""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from benching import Bench

from bench.cli import outcomes
from bench.cli.commands import evaluate as evaluate_command
from bench.cli.commands import run as run_command
from bench.cli.console import Console
from bench.extensions.registry import Registry
from bench.hardware import quantities as units
from bench.results.outcomes import Costs, Environment, Score, Status
from bench.results.records import Record
from bench.results.spec import Job
from bench.running.executors import Skipped, SpreadExecutor
from bench.running.executors import local as executors
from bench.running.executors.processes import Ended
from bench.running.forecasting.forecast import Forecast
from bench.running.record_keeping import ended, unscored

Content = dict[str, Any]


def _another_run(content: Content) -> None:
    content["spec"]["seed"] = 7


def _words_for_scores(content: Content) -> None:
    outcome = next(iter(content["evaluations"].values()))
    outcome.update(status="done", scores=[{"top1": "99"}])
    content["status"] = "done"


def _endless_scores(content: Content) -> None:
    next(iter(content["evaluations"].values()))["scores"] = [{"top1": float("inf")}]


FALSE: list[Callable[[Content], object]] = [
    lambda content: content.clear(),
    lambda content: content.update(spec=3),
    lambda content: content.update(evaluations=[1]),
    lambda content: content.update(evaluations={"hard": {}}),
    lambda content: content.update(costs=[1]),
    _another_run,
    _words_for_scores,
    _endless_scores,
]


SCORE = {"top1": 50.0, "top5": None, "best_top1": None, "epochs": 1, "seconds": 0.1, "compiling_s": 0.0}
LYING = str(Path(__file__).with_name("lying_methods.py"))


@pytest.fixture
def job(bench: Bench) -> Job:
    (job,) = bench.jobs("random", protocols=("hard",))
    return job


def _executor(bench: Bench, monkeypatch: pytest.MonkeyPatch, word: Ended) -> SpreadExecutor:
    monkeypatch.setattr(executors, "run_child", lambda *_: word)
    return SpreadExecutor(Registry(), bench.place())


def _content(job: Job) -> Content:
    outcomes = ended(job, None, "failed", "by design")
    return Record(job.spec, "failed", "by design", Costs(), outcomes, {}, Environment()).to_json()


def test_the_record_of_the_run_is_taken(bench: Bench, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = _executor(bench, monkeypatch, Ended("record", {"record": _content(job)}, 0, False))
    (record,) = executor.run([job])
    assert isinstance(record, Record)
    assert record.reason == "by design"


@pytest.mark.parametrize("falsify", FALSE, ids=range(len(FALSE)))
def test_a_false_record_is_a_failed_row(
    bench: Bench, job: Job, monkeypatch: pytest.MonkeyPatch, falsify: Callable[[Content], object]
) -> None:
    content = copy.deepcopy(_content(job))
    falsify(content)
    executor = _executor(bench, monkeypatch, Ended("record", {"record": content}, 0, False))
    (record,) = executor.run([job])
    assert isinstance(record, Record)
    assert (record.spec, record.status) == (job.spec, "failed")
    assert record.reason == "what its process sent is no record of this run; see its log"


def test_a_false_forecast_is_a_failed_trial(bench: Bench, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = _executor(bench, monkeypatch, Ended("forecast", {"forecast": {"stages": 3}}, 0, False))
    (forecast,) = executor.foresee([job])
    assert forecast == Forecast(job.spec.name, "failed", "what its process sent is no forecast")


@pytest.mark.parametrize(("text", "number"), [("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200), ("0.5h", 1800)])
def test_a_time_is_a_number_with_its_unit(text: str, number: float) -> None:
    assert units.seconds(text) == number


@pytest.mark.parametrize("text", ["", "0", "-1", "²", "1d", "nan", "inf", "1e3", "2 h", "0s"])
def test_any_other_word_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time above 0: take seconds, or a number with s, m or h"):
        units.seconds(text)


def test_noise_and_lies_on_the_channel_end_no_table(bench: Bench) -> None:
    named = [word for method in ("lying", "noisy") for word in ("-m", method)]
    ended = bench.typed(*named, *("--protocol", "untrained", "--no-control", "--plugin", LYING, "--format", "json"))
    assert ended.returncode == 1, ended.stderr
    reasons = {row["method"]: row["reason"] for row in json.loads(ended.stdout)}
    assert reasons == {"lying": "what its process sent is no record of this run; see its log", "noisy": None}


def test_a_method_that_ends_python_is_a_failed_row_with_the_place(bench: Bench) -> None:
    bench.plugins = (LYING,)
    (job,) = bench.jobs("exits", protocols=("untrained",))
    record = bench.run(job)
    assert (record.status, (record.reason or "").rpartition(":")[0]) == ("failed", "SystemExit: 3 (lying_methods.py")


def test_a_run_over_its_time_is_a_failed_row_that_a_retry_continues(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.plugins = (LYING,)
    (job,) = bench.jobs("gray", protocols=("untrained",))
    over, asked = Ended(None, {"reason": "over its time: stopped after 90 s (--timeout)"}, -9, False), list[object]()

    def hang(*given: object) -> Ended:
        asked.append(given[-1])
        return over

    monkeypatch.setattr(executors, "run_child", hang)
    (record,) = SpreadExecutor(Registry((LYING,)), bench.place(), timeout=90.0).run([job])
    assert isinstance(record, Record)
    assert (record.status, record.reason, asked) == ("failed", over.reason, [90.0])
    assert bench.run(job).status == "failed"
    assert bench.run(job, retry=True).status == "done"


@pytest.mark.parametrize("status", ["refused", "failed"])
def test_a_row_without_a_result_is_not_announced_as_done(bench: Bench, job: Job, status: Status) -> None:
    """Its evaluation may be a result of before, kept while the run itself could not be done again."""
    (each,) = job.evaluations
    scored = {"status": "done", "scores": [Score.model_validate(SCORE)], "reason": None}
    before = unscored(each, "failed", "").model_copy(update=scored)
    record = Record(job.spec, status, "by design", Costs(), {each.key: before}, {}, Environment())
    assert outcomes._news(job, record) == f"{job.spec.name}: hard@1 on convnet3-w32-bn {status}, by design"
    nameless = replace(record, reason=None)
    assert outcomes._news(job, nameless).endswith(f"{status}, no reason was recorded")
    assert outcomes._news(job, replace(record, status="done")) == f"{job.spec.name}: done"
    assert "its record does not answer" in outcomes._news(job, replace(record, evaluations={}))


def test_what_another_process_had_is_looked_at_again_at_the_end(bench: Bench) -> None:
    jobs = bench.jobs("random", ipcs=(1, 2, 3), protocols=("hard",))
    given = list[list[Job]]()

    class Executor(SpreadExecutor):
        """Another process has the last two; by the end it has finished one of them."""

        def run(self, jobs: Sequence[Job]) -> Iterator[Record | Skipped]:
            given.append(list(jobs))
            had = jobs[1:] if len(given) == 1 else jobs[:1]
            yield from (Skipped(job, "in use") if job in had else record_of(job) for job in jobs)

    def record_of(job: Job) -> Record:
        return Record(job.spec, "done", None, Costs(), {}, {}, Environment())

    with Console(quiet=True) as console:
        found, stopped = outcomes.carried_out(Executor(Registry(), bench.place()), jobs, console)
    assert given == [jobs, jobs[1:]] and not stopped
    assert [isinstance(each, Skipped) for each in found] == [False, True, False]


@pytest.mark.parametrize("command", [run_command.command, evaluate_command.command])
def test_the_time_is_an_option_of_both_commands_and_a_wrong_one_is_refused(command: click.Command) -> None:
    (option,) = (each for each in command.params if each.name == "timeout")
    context = click.Context(command)
    assert option.process_value(context, "30m") == 1800
    assert option.process_value(context, None) is None
    with pytest.raises(click.BadParameter, match="'soon' is no time above 0"):
        option.process_value(context, "soon")
