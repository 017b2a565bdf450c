"""Which orders are given out, and what becomes of jobs as they end: with workers whom the test lets end their work."""

import os
import signal
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import knitted_methods
import pytest
from benching import Bench

from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.progress import Progress
from bench.results.outcomes import Costs, Environment
from bench.results.records import Record
from bench.results.spec import Job
from bench.running.executors import Needs, Skipped, SpreadExecutor
from bench.running.executors.orders import PrepareOrder, RunOrder, SetOrder, UnitsOrder
from bench.running.executors.processes import Ended
from bench.running.record_keeping import ended
from bench.storage.shared.company import at_work, mark
from bench.storage.shared.leases import holder, locked

PLUGIN = knitted_methods.__file__
REGISTRY = Registry((PLUGIN,))


@dataclass
class Puppets:
    """Workers that do nothing: what an order comes to is said by `ends`, in the thread of the executor."""

    slots: int
    ends: dict[str, Ended] = field(default_factory=dict)
    given: list[tuple[str, str, bool]] = field(default_factory=list)
    at_once: int = 0
    most: int = 0
    stops: int = 0
    closed: bool = False
    patient: bool = False
    held: list[tuple[RunOrder, "Future[Ended]"]] = field(default_factory=list)

    def submit(self, order: RunOrder, news: Progress, needs: Needs, timeout: float | None) -> "Future[Ended]":
        future: Future[Ended] = Future()
        self.given.append((what(order), order.job.spec.method.name, needs.alone))
        self.held.append((order, future))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        if self.at_once == self.slots or needs.alone:
            self.end_all()
        else:
            threading.Timer(0.05, self.end_all).start()
        return future

    def end_all(self) -> None:
        """In the order in which they were given out."""
        while self.held and not self.patient:
            order, future = self.held.pop(0)
            self.at_once -= 1
            future.set_result(self.ends.get(what(order)) or usual(order))

    def stop(self) -> None:
        self.stops += 1
        for _, future in self.held:
            future.set_exception(Interrupted("stopped"))
        self.held.clear()

    def close(self) -> None:
        self.closed = True


def what(order: RunOrder) -> str:
    """An order in a word."""
    return order.units[0] if isinstance(order, UnitsOrder) else order.work


def usual(order: RunOrder) -> Ended:
    """How it ends where nothing is wrong."""
    match order:
        case PrepareOrder():
            return Ended("prepared", {"units": ["one", "two", "three"]}, 0, False)
        case SetOrder():
            return Ended("set", {}, 0, False)
        case UnitsOrder():
            return Ended("made", {"left": []}, 0, False)
    job = order.job
    outcomes = ended(job, None, "failed", "by design")
    record = Record(job.spec, "done", None, Costs(), outcomes, {}, Environment())
    return Ended("record", {"record": record.to_json()}, 0, False)


def job_of(bench: Bench, method: str, **changes: Any) -> Job:  # noqa: ANN401 - the fields of Request
    bench.plugins = (PLUGIN,)
    (job,) = bench.jobs(method, protocols=("unseen",), **changes)
    return job


def done(bench: Bench, workers: Puppets, *jobs: Job, **options: Any) -> list[Record | Skipped]:  # noqa: ANN401 - any
    return list(SpreadExecutor(REGISTRY, bench.place(), hire=lambda: workers, **options).run(jobs))


def reasons(outcomes: list[Record | Skipped]) -> list[str | None]:
    return [outcome.reason for outcome in outcomes]


def test_a_job_of_units_falls_into_pieces_and_is_finished_in_a_process_of_its_own(bench: Bench) -> None:
    workers, job = Puppets(2), job_of(bench, "knitted")
    (record,) = done(bench, workers, job)
    assert [given for given, _, _ in workers.given] == ["prepare", "one", "two", "three", "run"]
    assert isinstance(record, Record) and (workers.most, workers.closed) == (2, True)
    assert not any(alone for _, _, alone in workers.given)


def test_one_worker_is_given_whole_runs_that_nothing_disturbs(bench: Bench) -> None:
    workers = Puppets(1)
    done(bench, workers, job_of(bench, "knitted"), job_of(bench, "random"))
    assert workers.given == [("run", "knitted", True), ("run", "random", True)]


def test_runs_stay_whole_where_there_are_as_many_as_workers_or_they_have_one_unit(bench: Bench) -> None:
    workers = Puppets(2)
    knitted = [job_of(bench, "knitted", seeds=(seed,)) for seed in (0, 1, 2)]
    outcomes = done(bench, workers, *knitted, job_of(bench, "random"))
    assert [given for given, _, _ in workers.given] == ["run", "run", "prepare", "run", "one", "two", "three", "run"]
    assert [outcome.spec.seed for outcome in outcomes if isinstance(outcome, Record)] == [0, 1, 2, 0], "in their order"


def test_sets_are_made_alone_and_evaluated_side_by_side_where_costs_shall_be_undisturbed(bench: Bench) -> None:
    workers = Puppets(2)
    done(bench, workers, job_of(bench, "knitted"), job_of(bench, "random"), alone=True)
    assert workers.given[:2] == [("set", "knitted", True), ("set", "random", True)]
    assert workers.given[2:] == [("run", "knitted", False), ("run", "random", False)]
    assert workers.most == 2


@pytest.mark.parametrize(
    ("which", "end", "reason"),
    [
        ("prepare", Ended(None, {}, -9, False), "killed (SIGKILL), perhaps by the system because memory ran out"),
        (
            "prepare",
            Ended("prepared", {"units": [1]}, 0, False),
            "what its process sent names no units; see its log",
        ),
        ("two", Ended("failed", {"reason": "by design"}, 1, False), "by design"),
        ("set", Ended(None, {}, 3, False), "its process ended with status 3; see its log"),
    ],
)
def test_a_piece_that_fails_is_one_failed_row(bench: Bench, which: str, end: Ended, reason: str) -> None:
    workers, jobs = Puppets(2, {which: end}), [job_of(bench, "knitted"), job_of(bench, "random")]
    outcomes = done(bench, workers, *jobs, alone=which == "set")
    assert outcomes[0].reason == reason
    assert ("run", "knitted", False) not in workers.given
    assert holder(bench.runs / f".{jobs[0].spec.name}.lock") is None


def test_the_run_is_this_process_own_while_it_is_in_pieces(bench: Bench) -> None:
    job = job_of(bench, "knitted")
    seen: list[str | None] = []

    class Looking(Puppets):
        def submit(self, order: RunOrder, *rest: Any) -> "Future[Ended]":  # noqa: ANN401 - as of Puppets
            seen.append(holder(bench.runs / f".{job.spec.name}.lock"))
            return super().submit(order, *rest)

    done(bench, Looking(2), job)
    assert all(str(who).startswith("process ") for who in seen[:-1]) and seen[-1] is None, "the last takes it itself"
    with locked(bench.runs / f".{job.spec.name}.lock", bench.ear, wait=False):
        (outcome,) = done(bench, Puppets(2), job)
    assert isinstance(outcome, Skipped)


def test_a_run_in_pieces_has_one_time_for_all_of_them(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 40))
    monkeypatch.setattr("bench.running.executors.round.time.monotonic", lambda: float(next(clock)))
    workers = Puppets(2, {"one": Ended(None, {}, -9, False)})
    (outcome,) = done(bench, workers, job_of(bench, "knitted"), timeout=90.0)
    assert outcome.reason == "over its time: stopped after 90 s (--timeout)"


def test_the_first_stop_saves_and_the_second_kills(bench: Bench) -> None:
    workers, job, before = Puppets(2, patient=True), job_of(bench, "knitted"), signal.getsignal(signal.SIGINT)
    run = SpreadExecutor(REGISTRY, bench.place(), hire=lambda: workers).run([job])
    press = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
    press.start()
    with pytest.raises(Interrupted):
        next(run)
    assert (workers.stops, workers.closed) == (1, True)
    (said,) = [each for each in bench.ear.heard if "stopping" in each]
    assert said.endswith("Ctrl-C again kills them at once")
    assert holder(bench.runs / f".{job.spec.name}.lock") is None
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_is_not_charged_for_its_wait_for_the_sets_of_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, left = [0.0], list[float | None]()

    class Timed(Puppets):
        def submit(self, order: RunOrder, news: Progress, needs: Needs, timeout: float | None) -> "Future[Ended]":
            left.append(timeout)
            now[0] += 60 if needs.alone else 0
            return super().submit(order, news, needs, timeout)

    monkeypatch.setattr("bench.running.executors.round.time.monotonic", lambda: now[0])
    jobs = [job_of(bench, "random", seeds=(seed,)) for seed in (0, 1, 2)]
    done(bench, Timed(2), *jobs, alone=True, timeout=90.0)
    assert left == [90.0] * 3 + [30.0] * 3


def test_a_stop_at_the_end_of_a_trial_is_heard(bench: Bench) -> None:
    workers = Puppets(1, {"trial": Ended("forecast", {"forecast": {}}, 0, stopped=True)})
    foreseen = SpreadExecutor(REGISTRY, bench.place(), hire=lambda: workers).foresee(
        [job_of(bench, "random"), job_of(bench, "knitted")]
    )
    with pytest.raises(Interrupted):
        next(foreseen)
    assert len(workers.given) == 1 and workers.closed


def test_what_killed_commands_left_goes_also_where_nothing_is_left_to_do(bench: Bench) -> None:
    """The files by which they were known to be at work, and to see the folders; a live one's stay."""
    with at_work(bench.cache) as at:
        ours = [at, mark(bench.cache), mark(bench.runs)]
        for file in ours:
            here, pid, _, token = file.name.split("-")
            file.with_name(f"{here}-{pid}-1-{token}").touch()  # the same number, of a process that began long before
        assert done(bench, Puppets(1)) == []
        assert [list(file.parent.iterdir()) for file in ours] == [[file] for file in ours]
