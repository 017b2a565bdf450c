"""One worker of this machine: a child process at a time, so that nothing disturbs what it measures."""

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from bench.errors import Interrupted
from bench.progress import Progress
from bench.running.executors.orders import RunOrder
from bench.running.executors.processes import Ended, run_child
from bench.running.executors.workers import Needs


@dataclass
class OneWorker:
    """One order at a time, in a process of its own: nothing disturbs what it measures (`Workers`)."""

    cache: Path
    slots: int = 1

    def submit(self, order: RunOrder, news: Progress, needs: Needs, timeout: float | None) -> "Future[Ended]":
        """Does the order before it returns."""
        future: Future[Ended] = Future()
        try:
            future.set_result(run_child(order, self.cache, news, timeout))
        except Interrupted as error:
            future.set_exception(error)
        return future

    def stop(self) -> None:
        """Nothing: what is under way has heard it."""

    def close(self) -> None:
        """Nothing is kept."""
