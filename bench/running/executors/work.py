"""A job of a round, and how far it is."""

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from bench.condensation import Condenser
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.results.records import Record
from bench.results.spec import Job
from bench.running.executors.contract import Skipped
from bench.running.executors.orders import RunOrder, SetOrder
from bench.running.executors.processes import Ended


@dataclass(eq=False)
class Work:
    """A job, and how far it is.

    Attributes:
        todo: orders that can be given out now.
        under_way: how many are.
        units, made: of a job in pieces: how many there are, and are done.
        held: lets the run go, which is this process' own while it is in pieces.
        spent: seconds for which something of it was under way, until it last was not.
        began: since when something of it is; None where nothing is.
        ended: the end that decides how the job ends, once there is one.
        outcome: how it ended; None while it has not.
    """

    job: Job
    todo: deque[RunOrder] = field(default_factory=deque)
    under_way: int = 0
    units: int = 0
    made: int = 0
    held: ExitStack = field(default_factory=ExitStack)
    spent: float = 0.0
    began: float | None = None
    ended: Ended | None = None
    outcome: Record | Skipped | None = None

    def taken(self, now: float) -> float:
        """Seconds that it took until now, without those in which it waited for its turn."""
        return self.spent + (0.0 if self.began is None else now - self.began)

    def has_due(self, *, alone: bool) -> bool:
        """Whether it has an order to give out; if `alone`, one that is done while nothing else is."""
        return bool(self.todo) and (not alone or makes_set_alone(self.todo[0]))


def makes_set_alone(order: RunOrder) -> bool:
    """Whether an order makes a set and evaluates nothing: so that nothing else disturbs what is measured."""
    return isinstance(order, SetOrder)


def has_units(job: Job, registry: Registry) -> bool:
    """Whether the job's method makes its images in units of its own."""
    try:
        method: type[Condenser[Any]] = registry.load("method", job.spec.method.name)
    except UsageError:
        return False
    return method.made_here and method.units is not Condenser.units
