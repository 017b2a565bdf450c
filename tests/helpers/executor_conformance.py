"""What every executor is held to (`bench.running.executors.contract.Executor`)."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benching import Bench

from bench.extensions.registry import Registry
from bench.progress import Silent
from bench.results.records import Record
from bench.results.spec import Job
from bench.running.context import RunContext
from bench.running.executors import Executor, Skipped
from bench.storage.shared.leases import locked

PLUGIN = str(Path(__file__).with_name("executor_methods.py"))
REGISTRY = Registry((PLUGIN,))


class ExecutorConformance:
    """Subclass it and write `executor`. Three processes are started in all."""

    def executor(self, registry: Registry, place: RunContext, *, retry: bool) -> Executor:
        """One that works at the place, and does failed runs again where it is told to."""
        raise NotImplementedError

    def test_it_keeps_its_promises(self, bench: Bench) -> None:
        """Order, apart, retries and death; a finished run needs no process."""
        jobs = the_jobs(bench)
        first = self._done(bench, jobs)
        assert [record.spec for record in first] == [job.spec for job in jobs], "in the order of the jobs"
        dead, whole = first
        assert (dead.status, whole.status) == ("failed", "done"), "a worker's death ends no table"
        assert "status 9" in str(dead.reason)
        assert whole.costs.notes.to_json()["process"] != os.getpid(), "apart"
        assert self._done(bench, jobs) == first, "nothing is done again of its own accord"
        again = self._done(bench, jobs, retry=True)
        assert [record.status for record in again] == ["done", "done"], "it goes on from what was left"
        assert again[1] == whole
        (forecast,) = self.executor(REGISTRY, bench.place(), retry=False).foresee(jobs[1:])
        assert (forecast.run, forecast.status) == (whole.spec.name, "done")

    def test_a_run_of_a_live_process_is_skipped_by_its_name(self, bench: Bench) -> None:
        """Nothing of it is touched."""
        job = the_jobs(bench)[1]
        with locked(bench.runs / f".{job.spec.name}.lock", Silent(), wait=False):
            bench.runs.joinpath(job.spec.name).mkdir()
            (bench.runs / job.spec.name / "record.json").write_text("under way")
            (outcome,) = self.executor(REGISTRY, bench.place(), retry=True).run([job])
        assert isinstance(outcome, Skipped) and outcome.job == job
        assert f"process {os.getpid()} on" in outcome.reason
        assert (bench.runs / job.spec.name / "record.json").read_text() == "under way"

    def _done(self, bench: Bench, jobs: Sequence[Job], *, retry: bool = False) -> list[Record]:
        """How the jobs ended; a tracker heard of each that it began, and how it ended."""
        heard = _heard()
        heard.clear()
        outcomes = list(self.executor(REGISTRY, bench.place(), retry=retry).run(jobs))
        records = [each for each in outcomes if isinstance(each, Record)]
        assert len(records) == len(jobs)
        told = {name: [word for word, run in heard if run == name] for _, name in heard}
        assert told == {each.spec.name: ["started", each.status] for each in records}
        return records


def the_jobs(bench: Bench) -> list[Job]:
    """One whose first process dies, and one with which nothing is wrong."""
    bench.plugins = (PLUGIN,)
    return [job for name in ("dying-once", "numbered") for job in bench.jobs(name, protocols=("untrained-here",))]


def _heard() -> list[tuple[str, str]]:
    trackers: list[Any] = [each.plugin for each in REGISTRY.manager.hook.bench_run_started.get_hookimpls()]
    (heard,) = (each.HEARD for each in trackers if hasattr(each, "HEARD"))
    found: list[tuple[str, str]] = heard
    return found
