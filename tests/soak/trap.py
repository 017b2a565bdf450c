"""Death at a moment that can be named: right before or after the n-th call that changes what a folder holds.

Nothing in `bench` knows of it: a process that is to die replaces these functions of the standard library in itself.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal

from bench.storage.shared.stores import Store

Victim = Literal["parent", "child", "group", "worker", "node", "server"]
CHANGES: tuple[tuple[object, tuple[str, ...]], ...] = (
    (os, ("fsync", "replace", "rename", "link", "unlink", "rmdir")),
    (shutil, ("rmtree",)),
    (Store, ("put", "remove")),
)
LINE = 32  # bytes of a note: where one ends says its number


@dataclass(frozen=True)
class Call:
    """A call that a command made: the n-th of its processes together, by the command itself or by a child."""

    number: int
    role: Literal["parent", "child"]
    name: str


@dataclass(frozen=True)
class Strike:
    """Who dies, and when.

    Attributes:
        moment: the number of a call; or seconds, as a float, after the command began.
        after: the call has returned; else it was about to begin.
        call: its name, for words.
    """

    victim: Victim
    moment: int | float
    after: bool = False
    call: str = ""

    def __str__(self) -> str:
        """In words, as in "child after fsync (call 12)"."""
        if isinstance(self.moment, float):
            return f"{self.victim} at {self.moment:.2f} s"
        return f"{self.victim} {'after' if self.after else 'before'} {self.call} (call {self.moment})"


def children(parent: int) -> Iterator[int]:
    """The processes that a process started and that are there (Linux)."""
    for about in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            state, born_of, *_ = about.read_text().rpartition(") ")[2].split()
            if int(born_of) == parent and state not in "ZX":
                yield int(about.parent.name)


def kill(victim: Victim, parent: int) -> None:
    """SIGKILL to a command, to a child of it (the calling one where it is one), or to all; to oneself last."""
    born, me = list(children(parent)), os.getpid()
    child = [me] if me in born else born[:1]
    chosen = {"parent": [parent], "child": child, "group": [parent, *born]}[victim]
    for pid in sorted(chosen, key=lambda pid: pid == me):
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True)
class Trap:
    """Notes each call in a file, and strikes at one of them."""

    notes: Path
    strike: Strike | None = None

    def arm(self) -> None:
        """From here on, in this process and in those that are forked from it."""
        parent = os.getpid()
        for module, names in CHANGES:
            for name in names:
                setattr(module, name, self._watched(getattr(module, name), name, parent))

    def calls(self) -> list[Call]:
        """What was noted."""
        words = (line.split() for line in self.notes.read_text().splitlines())
        return [
            Call(number, "parent" if role == "parent" else "child", name) for number, (role, name) in enumerate(words)
        ]

    def _watched(self, function: Callable[..., Any], name: str, parent: int) -> Callable[..., Any]:
        @wraps(function)
        def watched(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever it takes and gives
            number = self._noted("parent" if os.getpid() == parent else "child", name)
            self._strike_at(number, parent, after=False)
            result = function(*arguments, **named)
            self._strike_at(number, parent, after=True)
            return result

        return watched

    def _noted(self, role: str, name: str) -> int:
        """The number of a call. Processes and threads note side by side; a lock would outlive whoever is killed."""
        file = os.open(self.notes, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        try:
            os.write(file, f"{role} {name}".ljust(LINE - 1).encode() + b"\n")
            return os.lseek(file, 0, os.SEEK_CUR) // LINE - 1
        finally:
            os.close(file)

    def _strike_at(self, number: int, parent: int, *, after: bool) -> None:
        if self.strike and (self.strike.moment, self.strike.after) == (number, after):
            kill(self.strike.victim, parent)
