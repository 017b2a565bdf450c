"""When a run is opened at a tracker: once it is known to be this process'."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass
class Runs(Generic[T]):
    """The runs that a tracker was told of.

    That a run begins is told before it is known whether another process has it, which tells of it itself. So it is
    opened, in place of what was told of it before, by the first that is told of its work, or by its end.

    Attributes:
        open: opens a run of a name and a spec at the tracker.
    """

    open: Callable[[str, Mapping[str, Any]], T]
    _begun: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _opened: dict[str, T] = field(default_factory=dict)

    def begin(self, run: str, spec: Mapping[str, Any]) -> None:
        """It may be this process' run."""
        self._begun[run] = spec

    def at_work(self, run: str) -> T | None:
        """The open run; None for one that was not begun."""
        if (spec := self._begun.pop(run, None)) is not None:
            self._opened[run] = self.open(run, spec)
        return self._opened.get(run)

    def end(self, run: str) -> T | None:
        """The open run, which is then forgotten; None for one that was not begun."""
        opened = self.at_work(run)
        self._opened.pop(run, None)
        return opened
