"""One round of work: which order is given out next, and what becomes of a job as its orders end."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.progress import noted, of_run
from bench.results.records import Record
from bench.results.spec import Job
from bench.running.context import RunContext
from bench.running.executors.contract import Skipped
from bench.running.executors.orders import PrepareOrder, RunOrder, SetOrder, UnitsOrder
from bench.running.executors.processes import Ended, interruptible, over_time
from bench.running.executors.work import Work, has_units, makes_set_alone
from bench.running.executors.workers import Needs, Workers
from bench.running.runner import Run
from bench.storage import run_folder
from bench.storage.shared.leases import LockHeld

PATIENCE = 1.0  # seconds
STOPPING = "stopping after the steps under way, which are then saved; Ctrl-C again kills them at once"
NO_UNITS = Ended("failed", {"reason": "what its process sent names no units; see its log"}, 0, False)
UNITS = "units"  # of which trackers, and whoever watches, are told how many are made


class Employer(Protocol):
    """Whose jobs a round does (see `bench.running.executors.spread.SpreadExecutor`)."""

    registry: Registry
    place: RunContext
    retry: bool
    timeout: float | None
    alone: bool

    @property
    def begins(self) -> Callable[[Job], None]:
        """Is told of each job before work on it begins."""

    def order(self, job: Job) -> RunOrder:
        """To do the job."""

    def needs(self, job: Job, *, alone: bool) -> Needs:
        """What an order of the job needs."""

    def outcome(self, job: Job, ended: Ended) -> Record | Skipped:
        """How a job ended whose process ended so."""

    def tell(self, hook: str, **facts: Any) -> None:  # noqa: ANN401 - a hook's arguments
        """Calls trackers."""


class Round:
    """Jobs, the workers that do them, and one thread that hears of everything.

    What workers say comes in threads of theirs. It goes through a queue, so that trackers are called in one thread.
    """

    def __init__(self, executor: Employer, workers: Workers, jobs: Sequence[Job]) -> None:
        self._by, self._workers = executor, workers
        self._works = [Work(job) for job in jobs]
        self._waiting = deque(self._works)
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread = threading.get_ident()
        self._under_way, self._alone = 0, False
        self._stop: Interrupted | None = None

    @property
    def _company(self) -> bool:
        return self._workers.slots > 1

    def outcomes(self) -> Iterator[Record | Skipped]:
        """How each job ended, in order. Raises Interrupted: the user asked to stop."""
        with self._stoppable(), ExitStack() as held:
            for work in self._works:
                held.callback(work.held.close)
            for work in self._works:
                yield self._outcome(work)
            if self._stop:
                raise self._stop

    def ended(self, order: RunOrder) -> Ended:
        """How one order of the one job ended, given out alone. Raises Interrupted."""
        (work,) = self._works
        self._by.begins(work.job)
        with self._stoppable():
            needs = self._by.needs(work.job, alone=True)
            future = self._workers.submit(order, _News(self, work), needs, self._by.timeout)
            future.add_done_callback(lambda _: self._inbox.put(lambda: None))
            while not future.done():
                self._hear()
        try:
            ended = future.result()
        except CancelledError:
            raise Interrupted("stopped") from None
        if self._stop or ended.stopped:  # it had ended by then, but no other follows
            raise self._stop or Interrupted("stopped")
        return ended

    def _stoppable(self) -> AbstractContextManager[None]:
        """A worker that is alone hears a stop itself."""
        return interruptible(lambda: self._inbox.put(self._pressed)) if self._company else nullcontext()

    def _pressed(self) -> None:
        self._workers.stop()
        if not self._stop:
            self._stop = Interrupted("stopped")
            self._by.place.progress.warn(STOPPING)

    def _outcome(self, work: Work) -> Record | Skipped:
        """Works until it is known how this job ended. Raises Interrupted: it will not be."""
        while work.outcome is None:
            while not self._stop and (found := self._next(work)):
                self._submit(*found)
            if work.outcome is None:
                if not self._under_way:
                    raise self._stop or Interrupted("stopped")
                self._hear()
        return work.outcome

    def _hear(self) -> None:
        """The next thing that is said, if it comes soon: a signal may have been another thread's to hear."""
        try:
            news = self._inbox.get(timeout=PATIENCE)
        except Empty:
            return
        news()

    def _next(self, first: Work) -> tuple[Work, RunOrder] | None:
        """What can be given out now, of earlier jobs first; jobs in which nothing is left to do end on the way.

        Args:
            first: the job whose end is waited for; once it has come, nothing else is begun before it is told.
        """
        if self._alone or self._under_way >= self._workers.slots:
            return None
        work = self._due(alone=self._by.alone)
        while work is None and self._waiting and first.outcome is None:
            self._begin(self._waiting.popleft())
            work = self._due(alone=self._by.alone)
        work = work or self._due(alone=False)
        if work is None or first.outcome is not None or (self._under_way and makes_set_alone(work.todo[0])):
            return None
        return work, work.todo.popleft()

    def _due(self, *, alone: bool) -> Work | None:
        return next((each for each in self._works if each.has_due(alone=alone)), None)

    def _begin(self, work: Work) -> None:
        """Finds out what there is to do: the run may be done, or another process may have it."""
        by, job = self._by, work.job
        by.tell("bench_run_started", run=job.spec.name, spec=job.spec.to_json())
        run = Run(job, by.registry, by.place, by.retry)
        try:
            if (found := run.found()) is not None:
                return self._settle(work, found)
            if in_pieces := self._falls_into_pieces(work):
                work.held.enter_context(run.held())
        except LockHeld as error:
            return self._settle(work, Skipped(job, str(error)))
        except KeyboardInterrupt:
            raise Interrupted("stopped") from None
        by.begins(job)
        work.todo.append(PrepareOrder(**vars(by.order(job))) if in_pieces else self._whole(work))

    def _whole(self, work: Work) -> RunOrder:
        """All that is left of the job; where sets are made alone, and there is none yet, the set."""
        order, folder = self._by.order(work.job), self._by.place.runs / work.job.spec.name
        if not self._company or not self._by.alone or (folder / run_folder.COSTS).exists():
            return order
        return SetOrder(**vars(order))

    def _falls_into_pieces(self, work: Work) -> bool:
        """Whether it can, and workers would else be idle: fewer such jobs are left than there are of them."""
        if not self._company or self._by.alone or not has_units(work.job, self._by.registry):
            return False
        left = [each for each in (work, *self._waiting) if has_units(each.job, self._by.registry)]
        return len(left) < self._workers.slots

    def _submit(self, work: Work, order: RunOrder) -> None:
        now, timeout = time.monotonic(), self._by.timeout
        work.began = now if work.began is None else work.began
        work.under_way, self._under_way, self._alone = work.under_way + 1, self._under_way + 1, makes_set_alone(order)
        left = None if timeout is None else max(timeout - work.taken(now), 0.0)
        needs = self._by.needs(work.job, alone=self._alone or not self._company)
        future = self._workers.submit(order, _News(self, work), needs, left)
        future.add_done_callback(lambda ended: self._inbox.put(lambda: self._heard(work, order, ended)))

    def _heard(self, work: Work, order: RunOrder, future: "Future[Ended]") -> None:
        """What becomes of a job as one of its orders ends."""
        work.under_way, self._under_way, self._alone = work.under_way - 1, self._under_way - 1, False
        try:
            ended = future.result()
        except CancelledError:
            return
        except Interrupted as error:
            self._stop = self._stop or error
            return
        if ended.stopped:
            self._stop = self._stop or Interrupted("stopped")
        work.ended = work.ended or self._deciding(work, order, ended)
        if work.ended is not None:
            work.todo.clear()
        if not work.under_way:
            work.spent, work.began = work.taken(time.monotonic()), None
            if not work.todo:
                self._went_on(work)

    def _deciding(self, work: Work, order: RunOrder, ended: Ended) -> Ended | None:
        """The end that decides how the job ends; None where this was a step on its way."""
        timeout = self._by.timeout
        if ended.event is None and timeout is not None and work.taken(time.monotonic()) >= timeout:
            return replace(ended, facts={"reason": over_time(timeout)})
        match order, ended.event:
            case PrepareOrder(), "prepared":
                return self._cut(work, order, ended.facts["units"])
            case UnitsOrder(), "made":
                work.made += 1
                self.advance(work, UNITS, work.made, work.units)
                return None
            case SetOrder(), "set":
                return None
        return ended

    def _cut(self, work: Work, order: PrepareOrder, units: Sequence[object]) -> Ended | None:
        names = [name for name in units if isinstance(name, str)]
        if len(names) < len(units):
            return NO_UNITS
        work.todo += [UnitsOrder(**vars(order), units=(name,)) for name in names]
        work.units = len(names)
        return None

    def _went_on(self, work: Work) -> None:
        """All that was given out has ended: what is left is one last order, or the job has ended."""
        work.held.close()
        if work.ended is None:
            work.todo.append(self._by.order(work.job))
        else:
            self._settle(work, self._by.outcome(work.job, work.ended))

    def _settle(self, work: Work, outcome: Record | Skipped) -> None:
        work.outcome, place, name = outcome, self._by.place, work.job.spec.name
        if isinstance(outcome, Record):
            record = outcome.to_json()
            self._by.tell("bench_run_finished", run=name, record=record, folder=str(place.runs / name))

    def post(self, news: Callable[[], None]) -> None:
        """Has news told by the one thread that tells them."""
        if threading.get_ident() == self._thread:
            news()
        else:
            self._inbox.put(news)

    def advance(self, work: Work, what: str, done: int, total: int) -> None:
        """Tells trackers, and whoever watches: of a run in pieces, how many of them are made."""
        run, watcher = work.job.spec.name, self._by.place.progress
        self._by.tell("bench_progress", run=run, what=what, done=done, total=total)
        if not work.units or what == UNITS:
            of_run(watcher, run).advance(what, done, total)

    def note(self, work: Work, fact: str, text: str) -> None:
        """Tells whoever watches, but for what each of several pieces is at."""
        if not work.units:
            noted(of_run(self._by.place.progress, work.job.spec.name), fact, text)

    def warn(self, message: str) -> None:
        """Warns whoever watches."""
        self._by.place.progress.warn(message)


@dataclass(frozen=True)
class _News:
    """What is said of a job, in whatever thread."""

    round: Round
    work: Work

    def advance(self, what: str, done: int, total: int) -> None:
        self.round.post(lambda: self.round.advance(self.work, what, done, total))

    def note(self, fact: str, text: str) -> None:
        self.round.post(lambda: self.round.note(self.work, fact, text))

    def warn(self, message: str) -> None:
        self.round.post(lambda: self.round.warn(message))
