"""Workers of this machine: several child processes side by side, each with a device of its own."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import torch

from bench.errors import Interrupted, UsageError
from bench.hardware.cores import cores
from bench.hardware.devices import choose_device
from bench.progress import Progress
from bench.running.executors.local import OneWorker
from bench.running.executors.orders import Piece, RunOrder
from bench.running.executors.processes import WAITING, Child, Ended
from bench.running.executors.workers import Hiring, Needs, Workers
from bench.storage.shared.company import at_work


def local(hiring: Hiring) -> Workers:
    """The workers of `--executor local`: one at a time, or several side by side, with a device each.

    Raises:
        UsageError: more workers than devices, or what is said of machines elsewhere.
    """
    for option, said in (("address", hiring.address), ("memory", hiring.memory)):
        if said is not None:
            raise UsageError(f"--{option} goes with executors of other machines; the local one has none")
    count = hiring.workers or gpus_taken(hiring.device) or 1
    return OneWorker(hiring.cache) if count == 1 else LocalWorkers(_devices(hiring.device, count), hiring.cache)


def gpus_taken(device: str) -> int:
    """How many GPUs --device takes where nobody says how many workers: cuda all, a number or auto one, cpu none."""
    if device == "cpu":
        return 0
    return torch.cuda.device_count() if device == "cuda" else 1


def _devices(name: str, count: int) -> list[str]:
    """One for each worker: a GPU of its own, or all the same processor."""
    device = choose_device(name)
    if device.type != "cuda":
        return [str(device)] * count
    there = torch.cuda.device_count() if device.index is None else 1
    if count > there:
        raise UsageError(f"--workers {count}: each has a GPU of its own, and --device {name} is {there}")
    return [f"cuda:{number}" for number in range(count)]


class Desk(ABC):
    """A place to work at, where a process may wait for another piece of a run.

    Attributes:
        run: whose pieces that process does; "" where none waits.
    """

    run = ""

    def serves(self, order: RunOrder) -> bool:
        """Whether the process that waits here may do an order."""
        return bool(self.run) and isinstance(order, Piece) and order.job.spec.name == self.run

    def fits(self, order: RunOrder) -> int:
        """How little has to be started or ended here for an order."""
        return 2 if self.serves(order) else 0 if self.run else 1

    @abstractmethod
    def do(self, order: RunOrder, needs: Needs, news: Progress, timeout: float | None) -> Ended:
        """Has it done, by the process that waits here where it may. Raises Interrupted: by `stop`."""

    @abstractmethod
    def stop(self) -> None:
        """What is under way here saves and stops; the second time it is killed. None follows."""

    @abstractmethod
    def close(self) -> None:
        """Lets the process go that waits here."""


class SideBySide:
    """Several at work side by side (`Workers`), each at a desk."""

    def __init__(self, desks: Sequence[Desk]) -> None:
        self.slots = len(desks)
        self._desks, self._free, self._lock = list(desks), list(desks), Lock()
        self._pool, self._closed = ThreadPoolExecutor(self.slots), False

    def submit(self, order: RunOrder, news: Progress, needs: Needs, timeout: float | None) -> "Future[Ended]":
        """As of `Workers`."""
        return self._pool.submit(self._done, order, news, needs, timeout)

    def _done(self, order: RunOrder, news: Progress, needs: Needs, timeout: float | None) -> Ended:
        desk = self._free_desk(order)
        try:
            return desk.do(order, needs, news, timeout)
        finally:
            with self._lock:
                self._free.append(desk)

    def _free_desk(self, order: RunOrder) -> Desk:
        """A free one: best where a process waits for this order, else where none would have to end for it.

        Raises:
            Interrupted: by `close`.
        """
        with self._lock:
            if self._closed:
                raise Interrupted("stopped")
            self._free.sort(key=lambda desk: desk.fits(order))
            return self._free.pop()

    def stop(self) -> None:
        """As of `Workers`."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for desk in self._desks:
            desk.stop()

    def close(self) -> None:
        """As of `Workers`; what is under way is killed."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:  # what was given out and sits at no desk yet begins no more
            self._closed, busy = True, set(self._desks).difference(self._free)
        for desk in busy:
            desk.stop()
            desk.stop()
        self._pool.shutdown()
        for desk in self._desks:
            desk.close()


class LocalWorkers(SideBySide):
    """Several children of this machine.

    Args:
        devices: one a worker.
        cache: as of a run.
    """

    def __init__(self, devices: Sequence[str], cache: Path) -> None:
        threads = max(1, cores() // len(devices))
        super().__init__([LocalDesk(device, cache, threads) for device in devices])


@dataclass(eq=False)
class LocalDesk(Desk):
    """A device of this machine, and a child."""

    device: str
    cache: Path
    threads: int
    _child: Child | None = None
    _stops: int = 0
    _lock: Lock = field(default_factory=Lock)

    def do(self, order: RunOrder, needs: Needs, news: Progress, timeout: float | None) -> Ended:
        """See `Desk`."""
        with at_work(self.cache) as file:
            child = self._child_for(order, None if needs.alone else self.threads)
            try:
                ended = child.obey(replace(order, device=self.device, company=str(file)), news, timeout)
            except BaseException:
                self.close()
                raise
            if ended.event not in WAITING:
                self.close()
            return ended

    def _child_for(self, order: RunOrder, threads: int | None) -> Child:
        if not self.serves(order):
            self.close()
        with self._lock:  # a stop comes from another thread
            if self._stops:
                raise Interrupted("stopped")
            self._child = self._child or Child(self.cache, threads)
            self.run = order.job.spec.name
            return self._child

    def stop(self) -> None:
        """See `Desk`."""
        with self._lock:
            self._stops += 1
            if self._child:
                self._child.stop(told=False)

    def close(self) -> None:
        """See `Desk`."""
        if self._child:
            self._child.close()
        self._child, self.run = None, ""
