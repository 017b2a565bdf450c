"""The orders of worker processes: typed on both sides, and one JSON object between them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, get_origin, get_type_hints

import torch

from bench.hardware.choices import Precision
from bench.progress import Progress
from bench.results.spec import Job
from bench.running.context import RunContext

WORK = "work"  # the key that says which order it is


@dataclass(frozen=True)
class Order:
    """What every order says. A subclass is one kind of work; its fields have types that `to_json` can carry.

    Those are plain JSON values, paths, tuples of plain values, and types with a class method `from_json`.

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
        return {WORK: self.work, **{each.name: _to_json(getattr(self, each.name)) for each in fields(self)}}


@dataclass(frozen=True)
class RunOrder(Order):
    """Do what is missing of a job; `retry` also what failed before. The other fields are a `RunContext`'s."""

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
        )


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
        KeyError: it is of none of them, or a field is missing.
    """
    kind = {each.work: each for each in kinds}[content[WORK]]
    hints = get_type_hints(kind)
    return kind(**{each.name: _from_json(hints[each.name], content[each.name]) for each in fields(kind)})


def _to_json(value: Any) -> Any:  # noqa: ANN401 - a field's value, and a JSON value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "to_json"):
        return value.to_json()
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _from_json(hint: Any, value: Any) -> Any:  # noqa: ANN401 - a field's type, a JSON value, and the field's value
    if hint is Path:
        return Path(value)
    if get_origin(hint) is tuple:
        return tuple(value)
    return hint.from_json(value) if hasattr(hint, "from_json") else value
