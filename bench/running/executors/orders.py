"""The orders of worker processes: typed on both sides, and one JSON object between them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic_core import to_jsonable_python

from bench.hardware.choices import Precision
from bench.progress import Progress
from bench.results.spec import Job
from bench.running.context import RunContext
from bench.storage.artefacts import shaped

WORK = "work"  # the key that says which order it is


@dataclass(frozen=True)
class Order:
    """What every order says. A subclass is one kind of work; its fields are what pydantic can write as JSON.

    Attributes:
        work: names the kind, uniquely.
        log: where everything printed goes.
        plugins: to load besides those installed, as for --plugin.
        device: such as "cuda:1".
        precision: of what is computed.
    """

    work: ClassVar[str]
    log: Path
    plugins: tuple[str, ...]
    device: str
    precision: Precision

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {WORK: self.work, **to_jsonable_python(self)}


@dataclass(frozen=True)
class RunOrder(Order):
    """Do what is missing of a job; `retry` also what failed before. The other fields are a `RunContext`'s.

    Whoever starts processes sets `anew`, and starts another when one ends with that word ("anew"), which is sent the
    same order with what it `found` (`bench.running.executors.processes.Child`).
    """

    work = "run"
    job: Job
    runs: Path
    cache: Path
    data_root: Path
    retry: bool
    command: str
    checkpoint_seconds: float
    looks: int
    company: str
    anew: bool = field(default=False, kw_only=True)
    found: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def context(self, progress: Progress, should_stop: Callable[[], bool]) -> RunContext:
        """Where the job is done."""
        return RunContext(
            runs=self.runs,
            cache=self.cache,
            data_root=self.data_root,
            device=torch.device(self.device),
            progress=progress,
            should_stop=should_stop,
            checkpoint_seconds=self.checkpoint_seconds,
            looks=self.looks,
            company=self.company,
            command=self.command,
            anew=self.anew,
            found=self.found,
        )


@dataclass(frozen=True)
class SetOrder(RunOrder):
    """Make the set of a job and evaluate nothing ("set"), so that nothing else disturbs what is measured of it."""

    work = "set"


@dataclass(frozen=True)
class PrepareOrder(RunOrder):
    """Make what the units of a job need, and say which units there are ("prepared"). Who sends it has the run."""

    work = "prepare"


@dataclass(frozen=True)
class UnitsOrder(RunOrder):
    """Make these units of a job, but for those that another process is at ("made"). Who sends it has the run."""

    work = "units"
    units: tuple[str, ...]


@dataclass(frozen=True)
class HelpOrder(RunOrder):
    """Make units of a job whose run another process has, and say which ("helped")."""

    work = "help"


Piece = PrepareOrder | UnitsOrder  # one process does several of one run: what it prepares, it prepares once


@dataclass(frozen=True)
class TrialOrder(RunOrder):
    """Try every part of a job that is not done. `scratch` is a folder that it shares with other trials."""

    work = "trial"
    scratch: Path


def order_from(content: Mapping[str, Any], kinds: Iterable[type[Order]]) -> Order:
    """The inverse of `Order.to_json`, for an order of one of these kinds.

    Raises:
        KeyError: it is of none of them.
        CorruptArtefact: a field is missing or of another type.
    """
    kind = {each.work: each for each in kinds}[content[WORK]]
    return shaped(kind, content)
