"""Many runs: each in a child process of its own, one after the other, so that none disturbs another's measurement."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import MISFITS, CorruptArtefact, Interrupted, RunFailure
from bench.extensions.registry import Registry
from bench.progress import noted, of_run
from bench.results.records import Record
from bench.results.rows import rows
from bench.results.spec import Job
from bench.running.context import RunContext
from bench.running.executors.contract import Skipped
from bench.running.finished import is_done
from bench.running.forecasting import Forecast
from bench.running.orders import RunOrder, TrialOrder
from bench.running.processes import Ended, run_child
from bench.running.record_keeping import crashed
from bench.running.runner import Run
from bench.storage.files import check_finite
from bench.storage.leases import LockHeld
from bench.storage.scratch import TRIAL, scratch_folder


@dataclass
class LocalExecutor:
    """Does jobs on this machine, one after the other (`bench.running.executors.contract.Executor`).

    `begins` is told of each job before work on it begins. A run that takes more than `timeout` seconds is stopped: a
    failed row. How long a run may take is no part of what it is.
    """

    registry: Registry
    place: RunContext
    retry: bool = False
    timeout: float | None = None
    begins: Callable[[Job], None] = lambda job: None

    def run(self, jobs: Sequence[Job]) -> Iterator[Record | Skipped]:
        """Does the jobs in order, yielding how each ended.

        Raises:
            Interrupted: the user asked to stop; the child has saved what it could.
        """
        for job in jobs:
            name = job.spec.name
            self._tell("bench_run_started", run=name, spec=job.spec.to_json())
            outcome, stopped = self._done(job)
            if isinstance(outcome, Record):
                self._tell("bench_run_finished", run=name, record=outcome.to_json(), folder=str(self.place.runs / name))
            yield outcome
            if stopped:  # pressed when nothing was left to stop
                raise Interrupted("stopped")

    def _done(self, job: Job) -> tuple[Record | Skipped, bool]:
        """How a job ended, and whether a stop was asked for. What is finished needs no process of its own."""
        try:
            found = Run(job, self.registry, self.place, self.retry).found()
        except LockHeld as error:
            return Skipped(job, str(error)), False
        except KeyboardInterrupt:
            raise Interrupted("stopped") from None
        if found is not None:
            return found, False
        child = self._child(job)
        return self._outcome(job, child), child.stopped

    def foresee(
        self, jobs: Sequence[Job], told: Callable[[Sequence[Job]], None] = lambda left: None
    ) -> Iterator[Forecast]:
        """What is left to do of each job, in order: a trial of what is not done.

        Args:
            told: of the jobs that will be tried, before the first is.

        Raises:
            Interrupted: the user asked to stop.
        """
        left = [job for job in jobs if not is_done(job, self.registry, self.place)]
        told(left)
        with scratch_folder(self.place.cache, TRIAL, self.place.progress) as scratch:
            for job in jobs:
                yield self._foreseen(job, str(scratch)) if job in left else Forecast(job.spec.name, "done")

    def _foreseen(self, job: Job, scratch: str) -> Forecast:
        child = self._child(job, scratch)
        if child.event != "forecast":
            return Forecast(job.spec.name, "failed", child.reason)
        try:
            return Forecast.from_json(child.facts["forecast"])
        except (KeyError, TypeError):
            return Forecast(job.spec.name, "failed", "what its process sent is no forecast")

    def _outcome(self, job: Job, child: Ended) -> Record | Skipped:
        if child.event == "record":
            record = _record_of(job, child.facts["record"])
            return record or crashed(job, self.place, "what its process sent is no record of this run; see its log")
        if child.event == "owned":
            return Skipped(job, child.reason)
        return crashed(job, self.place, child.reason)

    def _child(self, job: Job, scratch: str | None = None) -> Ended:
        """A child that does the job, or where it is given a scratch folder tries it."""
        order = self._order(job) if scratch is None else self._trial(job, Path(scratch))
        self.begins(job)
        return run_child(order, self.place.cache, _Relay(self, job.spec.name), self.timeout)

    def _order(self, job: Job) -> RunOrder:
        place = self.place
        return RunOrder(
            log=place.runs / job.spec.name / "log.txt",
            plugins=tuple(self.registry.extra),
            device=str(place.device),
            precision=job.spec.precision,
            job=job,
            runs=place.runs,
            cache=place.cache,
            data_root=place.data_root,
            retry=self.retry,
            command=place.command,
            checkpoint_seconds=place.checkpoint_seconds,
            looks=place.looks,
            company=place.company,
        )

    def _trial(self, job: Job, scratch: Path) -> TrialOrder:
        same = vars(self._order(job))
        return TrialOrder(**{**same, "log": Path(os.devnull)}, scratch=scratch)

    def _tell(self, hook: str, **facts: Any) -> None:  # noqa: ANN401 - a hook's arguments
        """Calls trackers; one that raises is warned about and does not touch the run."""
        for implementation in getattr(self.registry.manager.hook, hook).get_hookimpls():
            try:
                implementation.function(**{name: facts[name] for name in implementation.argnames})
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # one that ends Python ends no table
                self.place.progress.warn(
                    f"{hook} of plugin {implementation.plugin_name!r} raised {type(error).__name__}: {error}"
                )


def _record_of(job: Job, content: Mapping[str, Any]) -> Record | None:
    """The record that a child sent, where it is one of this run, whole enough to make rows of.

    A plugin in the child can write to the same channel.
    """
    try:
        check_finite(content)
        record = Record.from_json(content)
        rows([record])
    except (CorruptArtefact, RunFailure, *MISFITS):
        return None
    return record if record.spec.hash == job.spec.hash else None


@dataclass(frozen=True)
class _Relay:
    """Passes a run's news on to whoever watches and to trackers."""

    executor: LocalExecutor
    run: str

    def advance(self, what: str, done: int, total: int) -> None:
        of_run(self.executor.place.progress, self.run).advance(what, done, total)
        self.executor._tell("bench_progress", run=self.run, what=what, done=done, total=total)

    def note(self, fact: str, text: str) -> None:
        noted(of_run(self.executor.place.progress, self.run), fact, text)

    def warn(self, message: str) -> None:
        self.executor.place.progress.warn(message)
