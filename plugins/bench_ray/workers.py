"""Workers on the nodes of a Ray cluster. Ray places them and says when a node is lost; all else is as on one machine.

A worker is an actor, which holds a share of a node: a GPU, or processors, and memory where a forecast told how much. It
starts the same processes that a single machine would. What a lost node was at is done again on another, which goes on
from what was saved in the folders that all nodes share.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from bench import __version__
from bench.errors import Interrupted, UsageError, why
from bench.hardware.quantities import size
from bench.progress import Progress, noted
from bench.running.executors.orders import RunOrder
from bench.running.executors.processes import WAITING, Ended, interruptible
from bench.running.executors.side_by_side import Desk, SideBySide
from bench.running.executors.workers import Hiring, Needs
from bench.storage.shared.company import mark
from bench_ray.node import Answer, Event, NodeDesk

try:
    import ray
    from ray.exceptions import OutOfMemoryError, RayError, RayTaskError
except ImportError as error:
    raise UsageError(f"it needs Ray, pip install 'condensation-bench[ray]': {error}") from error

KNOCK_S = 10.0
NEWS_S = 1.0  # between two looks at what a node says
LOSSES = 3  # of nodes at one order, after which it is the order that is at fault
LEASES_S = 200.0  # after which what a lost node had is free for certain: three times a lease's time to live, and more
PATIENCE_S = 20.0  # of waiting for a place on a node, after which it is said


def hire(hiring: Hiring) -> "RayWorkers":
    """Workers of the cluster at an address: "auto" (one that this machine is a node of), "ray://HOST:PORT", or "local".

    Raises:
        UsageError: no such cluster, or none with the device.
    """
    with ExitStack() as open_until_closed:
        open_until_closed.enter_context(_connected(hiring.address or "auto"))
        share = shares([node["Resources"] for node in ray.nodes() if node["Alive"]], hiring)
        return RayWorkers(share, hiring.cache, open_until_closed.pop_all())


@dataclass(frozen=True)
class Shares:
    """How a cluster is divided: so many workers, each with so many GPUs and processors.

    `memory` is what each has in bytes, as the user said it; None: on processors what a forecast tells, else any.
    """

    workers: int
    gpus: int
    cpus: int
    memory: int | None = None


def shares(nodes: Sequence[Mapping[str, float]], hiring: Hiring) -> Shares:
    """A worker a GPU, or on processors one a node, unless the user says how many.

    Args:
        nodes: what each has.

    Raises:
        UsageError: none has what is asked for.
    """
    kind = "CPU" if hiring.device == "cpu" else "GPU"
    able = [node for node in nodes if node.get(kind, 0) >= 1 and node.get("memory", 0) >= (hiring.memory or 0)]
    if not able:
        wanted = f"a {kind}" + (f" and {size(hiring.memory)} of memory" if hiring.memory else "")
        raise UsageError(f"no node of the Ray cluster has {wanted} ({len(nodes)} nodes are alive)")
    workers = hiring.workers or (int(sum(node["GPU"] for node in able)) if kind == "GPU" else len(able))
    on_one = -(-workers // len(able))
    least = int(min(node.get("CPU", 0) for node in able))
    cpus = min(least, max(1, least // on_one))
    return Shares(workers, int(kind == "GPU"), cpus, hiring.memory)


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Within it Ray is connected. It says what it has to say on standard output, which is for results: it is lost."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        quiet["include_dashboard"] = False
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), interruptible(_stopped):
        try:
            _knock(address)
            ray.init(address=address, **quiet)
        except (RayError, OSError, RuntimeError, ValueError) as error:
            hint = "ray start --head begins a cluster; --address local takes this machine alone"
            raise UsageError(f"no Ray cluster at {address!r}: {why(error)} ({hint})") from error
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            yield
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """Raises OSError at once where nobody listens; Ray would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()


def _stopped() -> None:
    raise Interrupted("stopped")


class RayWorkers(SideBySide):
    """Several on the nodes of a cluster (`bench.running.executors.workers.Workers`)."""

    def __init__(self, share: Shares, cache: Path, connection: ExitStack) -> None:
        marks = Marks()
        self._seats = [RayDesk(share, cache, marks, self._spare) for _ in range(share.workers)]
        super().__init__(self._seats)
        self._connection = connection
        connection.callback(marks.remove)

    def submit(self, order: RunOrder, news: Progress, needs: Needs, timeout: float | None) -> "Future[Ended]":
        """As of `Workers`; one that is alone hears Ctrl-C itself, and has all done before it returns."""
        if self.slots > 1:
            return super().submit(order, news, needs, timeout)
        future: Future[Ended] = Future()
        try:
            with interruptible(lambda: Thread(target=self.stop).start()):
                future.set_result(self._done(order, news, needs, timeout))
        except Interrupted as error:
            future.set_exception(error)
        return future

    def _spare(self, memory: int | None) -> Any:  # noqa: ANN401 - Ray's handle
        """The actor of a desk that is free, for one that finds no room."""
        with self._lock:
            free = [desk for desk in self._seats if desk in self._free]
            return next((actor for desk in free if (actor := desk.given_up(memory)) is not None), None)

    def close(self) -> None:
        """As of `Workers`; the cluster is left."""
        super().close()
        self._connection.close()


@dataclass
class Marks:
    """Files in shared folders, by which nodes see that they see them."""

    _made: dict[Path, Path] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def below(self, *folders: Path) -> list[Path]:
        """One in each folder."""
        with self._lock:
            self._made |= {folder: mark(folder) for folder in folders if folder not in self._made}
            return [self._made[folder] for folder in folders]

    def remove(self) -> None:
        """All of them."""
        for made in self._made.values():
            made.unlink(missing_ok=True)


class RayDesk(Desk):
    """A share of a node, whichever has room for it, and the actor there.

    Args:
        spare: an actor with so much memory that nobody needs now, or None.
    """

    def __init__(self, share: Shares, cache: Path, marks: Marks, spare: Callable[[int | None], Any]) -> None:
        self._share, self._cache, self._marks, self._spare = share, cache, marks, spare
        self._actor: Any = None
        self._memory: int | None = None
        self._stops, self._lock = 0, Lock()

    def do(self, order: RunOrder, needs: Needs, news: Progress, timeout: float | None) -> Ended:
        """See `Desk`. What a lost node was at is done again; its lease may outlive it for a while.

        Raises:
            UsageError: the node does not fit the others: the fault is the cluster's, and no run's.
            Exception: whatever the desk there raised.
        """
        losses, until = 0, 0.0
        while True:
            try:
                ended = self._tried(order, news, needs, timeout)
            except RayTaskError as error:  # which is a RayError too, but of a node that lives
                raise error.cause from error
            except RayError as error:
                losses, until = losses + 1, time.monotonic() + LEASES_S
                self._lost(order, news, losses, error)
                if losses >= LOSSES:
                    return _failed(f"{losses} workers were lost while they worked on it, the last: {why(error)}")
                continue
            if ended.event != "owned" or time.monotonic() > until:
                return ended
            time.sleep(NEWS_S)

    def _lost(self, order: RunOrder, news: Progress, losses: int, error: RayError) -> None:
        self.close()
        if self._stops:
            raise Interrupted("stopped") from error
        again = "" if losses >= LOSSES else ": done again on another, from what was saved"
        what = "a worker for which its node had no memory" if isinstance(error, OutOfMemoryError) else "a node"
        news.warn(f"{what} was lost while it worked on {order.job.spec.name}, {losses} of at most {LOSSES}{again}")

    def _tried(self, order: RunOrder, news: Progress, needs: Needs, timeout: float | None) -> Ended:
        actor = self._placed(order, news, needs)
        misfit: str | None = ray.get(actor.misfit.remote(__version__, self._marks.below(order.runs, self._cache)))
        if misfit is not None:
            raise UsageError(misfit)
        answer = _listen(actor, actor.do.remote(order, needs, timeout), news)
        if answer.ended is None:
            raise Interrupted(answer.stopped)
        self.run = order.job.spec.name if answer.ended.event in WAITING else ""
        return answer.ended

    def _placed(self, order: RunOrder, news: Progress, needs: Needs) -> Any:  # noqa: ANN401 - Ray's handle
        """The actor, once a node has room for it, or another desk has an idle one: a lost node's may be the last."""
        actor, began, said = self._actor_for(needs), time.monotonic(), False
        while not ray.wait([actor.__ray_ready__.remote()], timeout=NEWS_S)[0]:
            if (spare := self._spare(self._memory)) is not None:
                actor = self._instead(spare)
            if self._stops:
                self.close()
                raise Interrupted("stopped")
            if not said and time.monotonic() - began > PATIENCE_S:
                said = True
                news.warn(f"{order.job.spec.name} waits for a node with {self._wanted()} free")
        return actor

    def _actor_for(self, needs: Needs) -> Any:  # noqa: ANN401 - Ray's handle
        foretold = None if self._share.gpus else needs.memory  # of a GPU the forecast tells the GPU's own
        memory = self._share.memory or foretold
        if memory != self._memory:
            self.close()
        with self._lock:  # a stop comes from another thread
            if self._stops:
                raise Interrupted("stopped")
            self._memory = memory
            self._actor = self._actor or self._new()
            return self._actor

    def _instead(self, spare: Any) -> Any:  # noqa: ANN401 - Ray's handles
        """Another actor in place of one that waits for room."""
        self.close()
        with self._lock:
            self._actor = spare
        return spare

    def given_up(self, memory: int | None) -> Any:  # noqa: ANN401 - Ray's handle
        """The actor of a desk that nobody sits at, which loses it; None where that only made room."""
        if self._actor is not None and self._memory != memory:
            self.close()
        actor, self._actor, self.run = self._actor, None, ""
        return actor

    def _new(self) -> Any:  # noqa: ANN401 - Ray's handle
        share = self._share
        place: dict[str, Any] = {"num_cpus": share.cpus, "num_gpus": share.gpus, "memory": self._memory}
        actor = ray.remote(NodeDesk).options(max_concurrency=3, scheduling_strategy="SPREAD", **place)
        return actor.remote("cuda" if share.gpus else "cpu", self._cache, max(1, share.cpus))

    def _wanted(self) -> str:
        parts = [f"{count} {kind}" for kind, count in (("GPU", self._share.gpus), ("CPU", self._share.cpus)) if count]
        memory = [f"{size(self._memory)} of memory"] if self._memory else []
        return " and ".join([*parts, *memory])

    def stop(self) -> None:
        """See `Desk`."""
        with self._lock:
            self._stops += 1
            if self._actor is not None:
                self._actor.stop.remote()

    def close(self) -> None:
        """See `Desk`."""
        with self._lock:
            if self._actor is not None:
                ray.kill(self._actor)
            self._actor, self.run = None, ""


def _listen(actor: Any, done: Any, news: Progress) -> Answer:  # noqa: ANN401 - Ray's handles
    """Passes a node's news on until the order is done."""
    while not ray.wait([done], timeout=NEWS_S)[0]:
        _tell(ray.get(actor.news.remote()), news)
    answer: Answer = ray.get(done)
    _tell(answer.news, news)
    return answer


def _tell(events: Sequence[Event], news: Progress) -> None:
    for name, told in events:
        if name != "note":
            getattr(news, name)(*told)
        else:
            noted(news, *told)


def _failed(reason: str) -> Ended:
    return Ended("failed", {"reason": reason}, 0, False)
