"""Does the jobs of a table by whatever workers there are: one run after the other, or many pieces side by side."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import MISFITS, CorruptArtefact, RunFailure
from bench.extensions.registry import Registry
from bench.hardware.quantities import peak_of
from bench.results.records import Record
from bench.results.rows import rows
from bench.results.spec import Job
from bench.running.context import RunContext
from bench.running.executors.contract import Skipped
from bench.running.executors.local import OneWorker
from bench.running.executors.orders import RunOrder, TrialOrder
from bench.running.executors.processes import Ended
from bench.running.executors.round import Round
from bench.running.executors.workers import Needs, Workers
from bench.running.finished import is_done
from bench.running.forecasting.forecast import Forecast
from bench.running.forecasting.trials import greatest_peak
from bench.running.record_keeping import crashed
from bench.storage import run_folder
from bench.storage.artefacts import shaped
from bench.storage.files import check_finite
from bench.storage.shared.company import tidy
from bench.storage.shared.scratch import TRIAL, scratch_folder


@dataclass
class SpreadExecutor:
    """Does jobs by workers (`bench.running.executors.contract.Executor`).

    With one slot each job is one order, one after the other, so that none disturbs another's measurement. With several
    they work side by side; while fewer jobs are left than there are slots, a job whose method has several units falls
    into pieces.

    Attributes:
        retry: does again what failed before.
        timeout: seconds after which a run is stopped: a failed row. How long a run may take is no part of what it is.
        begins: is told of each job before work on it begins.
        hire: finds the workers when there is work, who are let go after it; None: one process here at a time.
        alone: whether a set is made while nobody else works, so that its costs are undisturbed.
    """

    registry: Registry
    place: RunContext
    retry: bool = False
    timeout: float | None = None
    begins: Callable[[Job], None] = lambda job: None
    hire: Callable[[], Workers] | None = None
    alone: bool = False
    _peaks: dict[str, int] = field(default_factory=dict, init=False)

    def run(self, jobs: Sequence[Job]) -> Iterator[Record | Skipped]:
        """Does the jobs, yielding in their order how each ended.

        Raises:
            Interrupted: the user asked to stop; what was under way has saved what it could.
        """
        tidy(self.place.cache, self.place.runs)  # after killed commands, also where nothing is left to do
        with closing(self._hired()) as workers:
            yield from Round(self, workers, jobs).outcomes()

    def foresee(
        self, jobs: Sequence[Job], told: Callable[[Sequence[Job]], None] = lambda left: None
    ) -> Iterator[Forecast]:
        """What is left to do of each job, in order: a trial of what is not done, each alone.

        Args:
            told: of the jobs that will be tried, before the first is.

        Raises:
            Interrupted: the user asked to stop.
        """
        left = [job for job in jobs if not is_done(job, self.registry, self.place)]
        told(left)
        scratch_of = scratch_folder(self.place.cache, TRIAL, self.place.progress)
        with scratch_of as scratch, closing(self._hired()) as workers:
            for job in jobs:
                yield self._foreseen(job, scratch, workers) if job in left else Forecast(job.spec.name, "done")

    def _hired(self) -> Workers:
        return self.hire() if self.hire else OneWorker(self.place.cache)

    def _foreseen(self, job: Job, scratch: Path, workers: Workers) -> Forecast:
        ended = Round(self, workers, [job]).ended(TrialOrder(**self._on_trial(job), scratch=scratch))
        if ended.event != "forecast":
            return Forecast(job.spec.name, "failed", ended.reason)
        try:
            found = shaped(Forecast, ended.facts.get("forecast"))
        except CorruptArtefact:
            return Forecast(job.spec.name, "failed", "what its process sent is no forecast")
        made_in = peak_of(found.peak_memory_bytes) or 0
        self._peaks[job.spec.name] = max(made_in, greatest_peak(found.stages))
        return found

    def _on_trial(self, job: Job) -> dict[str, Any]:
        return {**vars(self.order(job)), "log": Path(os.devnull)}

    def order(self, job: Job) -> RunOrder:
        """To do the job."""
        place = self.place
        return RunOrder(
            log=place.runs / job.spec.name / run_folder.LOG,
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

    def needs(self, job: Job, *, alone: bool) -> Needs:
        """What an order of the job needs."""
        return Needs(int(self.place.device.type == "cuda"), self._peaks.get(job.spec.name) or None, alone)

    def outcome(self, job: Job, ended: Ended) -> Record | Skipped:
        """How a job ended whose process ended so."""
        if ended.event == "record":
            record = _record_of(job, ended.facts["record"])
            strange = "what its process sent is no record of this run; see its log"
            return record or crashed(job, self.place, strange, self.registry)
        if ended.event == "owned":
            return Skipped(job, ended.reason)
        return crashed(job, self.place, ended.reason, self.registry)

    def tell(self, hook: str, **facts: Any) -> None:  # noqa: ANN401 - a hook's arguments
        """Calls trackers; one that raises is warned about and does not touch the run. What they print is no result."""
        for implementation in getattr(self.registry.manager.hook, hook).get_hookimpls():
            try:
                with redirect_stdout(sys.stderr):
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
