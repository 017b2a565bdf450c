"""Who does the jobs of a table: the contract of all executors."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.results.records import Record
from bench.results.spec import Job
from bench.running.forecasting.forecast import Forecast


@dataclass(frozen=True)
class Skipped:
    """A job that was not done because a live process has its run."""

    job: Job
    reason: str


class Executor(Protocol):
    """Does jobs, here or elsewhere.

    It is given jobs, which are typed and planned, no two of one run. A worker is given a
    `bench.running.executors.orders.RunOrder` (or a kind of it), sent as `order.to_json()` and obeyed by
    `bench.cli.child`.

    It promises:
        Order: one outcome a job, in the order of the jobs, each as soon as it and those before it are known.
        Apart: each job is done in a process of its own, so that its peak of memory is its own (in a second one from
            where its stages had to be made, see `bench.running.executors.processes.Child`); pieces of a job in
            processes that serve no other. A run in which nothing is left to do needs none: its record is verified and
            yielded as it lies.
        Retries: none of its own accord. A run that failed stands as it failed, unless failed ones are to be done again;
            then each is once. Whatever is done again goes on from what was finished, kept and checkpointed before.
        Death: a worker that dies, is killed, or sends what is no record of its run is one failed record that says why,
            kept in the run's folder where that does not replace a finished result. The other jobs are done.
        Others: a run that a live process has is `Skipped` with its name, and nothing of it is touched.
        Company: what was measured while several were at work on its machine says how many.
        Trackers: `bench_run_started`, `bench_progress` and `bench_run_finished` are called in this process; one that
            raises touches no run.

    `tests/helpers/executor_conformance.py` holds an executor to it.
    """

    def run(self, jobs: Sequence[Job]) -> Iterator[Record | Skipped]:
        """Does the jobs, yielding how each ended.

        Raises:
            Interrupted: the user asked to stop. Workers have saved what they could; the same jobs go on from there.
        """
        ...

    def foresee(
        self, jobs: Sequence[Job], told: Callable[[Sequence[Job]], None] = lambda left: None
    ) -> Iterator[Forecast]:
        """What is left to do of each job, in their order. Nothing is left behind but what was compiled.

        A worker that dies is one failed forecast with the reason.

        Args:
            told: of the jobs that will be tried, before the first is.

        Raises:
            Interrupted: as `run`.
        """
        ...
