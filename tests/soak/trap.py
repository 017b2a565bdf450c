"""Death at a moment that can be named: right before or after the n-th call that changes what a folder holds.

Nothing in `bench` knows of it: a process that is to die replaces these functions of the standard library in itself.
"""

import mmap
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal

Victim = Literal["parent", "child", "group"]
CHANGES = ((os, ("fsync", "replace", "rename", "link", "unlink", "rmdir")), (shutil, ("rmtree",)))


@dataclass(frozen=True)
class Call:
    """A call that a command made: the n-th of its processes together, by the command itself or by its child."""

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


class Processes:
    """What a command's processes and whoever watches them share: how many calls there were, and who is who."""

    def __init__(self) -> None:
        self._shared = memoryview(mmap.mmap(-1, 24)).cast("q")  # anonymous: a fork shares it

    def count(self) -> int:
        """The number of a call that is about to be made."""
        self._shared[0] += 1
        return self._shared[0] - 1

    def born(self, role: Literal["parent", "child"], pid: int) -> None:
        """Of which process has a role; 0 once it is gone."""
        self._shared[1 if role == "parent" else 2] = pid

    def kill(self, victim: Victim) -> None:
        """SIGKILL to one of them or to both, to the calling process last."""
        parent, child = self._shared[1], self._shared[2]
        chosen = {"parent": [parent], "child": [child], "group": [parent, child]}[victim]
        for pid in sorted(filter(None, chosen), key=lambda pid: pid == os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it has just ended
                continue


@dataclass(frozen=True)
class Trap:
    """Notes each call in a file, and strikes at one of them."""

    processes: Processes
    notes: Path
    strike: Strike | None = None

    def arm(self) -> None:
        """From here on, in this process and in those that are forked from it."""
        parent = os.getpid()
        self.processes.born("parent", parent)
        for module, names in CHANGES:
            for name in names:
                setattr(module, name, self._watched(getattr(module, name), name, parent))

    def calls(self) -> list[Call]:
        """What was noted."""
        words = (line.split() for line in self.notes.read_text().splitlines())
        return [Call(int(number), "parent" if role == "parent" else "child", name) for number, role, name in words]

    def _watched(self, function: Callable[..., Any], name: str, parent: int) -> Callable[..., Any]:
        @wraps(function)
        def watched(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever it takes and gives
            number = self.processes.count()
            with self.notes.open("a") as file:
                file.write(f"{number} {'parent' if os.getpid() == parent else 'child'} {name}\n")
            self._strike_at(number, after=False)
            result = function(*arguments, **named)
            self._strike_at(number, after=True)
            return result

        return watched

    def _strike_at(self, number: int, *, after: bool) -> None:
        if self.strike and (self.strike.moment, self.strike.after) == (number, after):
            self.processes.kill(self.strike.victim)
