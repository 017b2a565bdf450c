"""Who does an order: the contract of all workers."""

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.progress import Progress
from bench.running.executors.orders import RunOrder
from bench.running.executors.processes import Ended


@dataclass(frozen=True)
class Needs:
    """What an order needs of the place where it is done.

    Attributes:
        gpus: how many.
        memory: bytes at its peak, where a forecast told them.
        alone: whether nothing else is under way with it, which the executor sees to: it is measured undisturbed, and
            may have all that a machine has.
    """

    gpus: int = 0
    memory: int | None = None
    alone: bool = True


@dataclass(frozen=True)
class Hiring:
    """What workers are asked for, as the user said it.

    Attributes:
        workers: how many (--workers); None: as many as there is use for, in the executor's own judgement.
        device: cpu, cuda (all), cuda:N, or auto where that is a GPU; of a machine elsewhere it says the kind.
        address: of what does the work (--address); None: the executor's own.
        cache: the folder of stages and of what was compiled.
        memory: bytes that each worker asks its node for (--memory), whatever a forecast told; None: what that told.
    """

    workers: int | None
    device: str
    address: str | None
    cache: Path
    memory: int | None = None


class Workers(Protocol):
    """They do orders (`bench.running.executors.orders`), each in a process that starts as `bench.cli.child` does.

    They promise:
        Own process: any order but a piece of a run is done in a new process. Pieces (`PrepareOrder`, `UnitsOrder`) may
            be done one after the other in one process that has done nothing but pieces of the same run: what it
            prepares it prepares once, and its peak of memory is the run's. Once stages had to be made another process
            goes on (`bench.running.executors.processes.Child`).
        Company: while an order is under way its machine is told so (`bench.storage.shared.company.at_work`), and
            `RunOrder.company` says by which file, for what is measured is disturbed by the others.
        End: every future ends. With `Ended` where the process ended, however it did; with `Interrupted` where `stop`
            did it. A process that dies is not replaced, unless it was the machine that died: every order goes on from
            what is kept.
        News: are told in any thread.

    Attributes:
        slots: how many orders can be under way at once; more than these are not submitted. 1: the executor has each run
            done in one order.
    """

    @property
    def slots(self) -> int: ...

    def submit(self, order: RunOrder, news: Progress, needs: Needs, timeout: float | None) -> "Future[Ended]":
        """Has the order done; the device that it names may be replaced by one of the same kind.

        Args:
            timeout: seconds after which its process is killed.
        """
        ...

    def stop(self) -> None:
        """The first time all that is under way saves and stops; the second time it is killed. Returns at once."""
        ...

    def close(self) -> None:
        """Lets all go. Nothing that was started is left."""
        ...
