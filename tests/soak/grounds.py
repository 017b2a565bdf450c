"""Where a scene's command runs again and again, who can be killed there, and what it left."""

import json
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from bench.storage.files import file_digest
from tests.soak.commands import NOTES, Command, Ended
from tests.soak.trap import Call, Strike, Victim

SAME = (
    *("run", "status", "reason", "images", "label_kind", "top1_values", "top5_mean", "teacher_top1"),
    *("epochs", "iterations", "set_bytes", "label_bytes", "control"),
)
OWN = re.compile(rf"{re.escape(NOTES)}|(\d-)?(out|err)\.txt")  # what this harness keeps in a scene's folder


@dataclass(frozen=True)
class Outcome:
    """What a command left: the digests of its tensors, the names of all its files, and its table without times."""

    tensors: Mapping[str, str]
    names: frozenset[str]
    rows: Sequence[Mapping[str, Any]]

    def differences(self, other: "Outcome") -> list[str]:
        """In words what another one has that this has not."""
        names = [f"{'more' if name in other.names else 'no'} {name}" for name in sorted(self.names ^ other.names)]
        both = sorted(self.tensors.keys() & other.tensors.keys())
        tensors = [f"other bytes in {name}" for name in both if self.tensors[name] != other.tensors[name]]
        rows = [] if self.rows == other.rows else [f"another table: {other.rows} for {self.rows}"]
        return [*names, *tensors, *rows]


def outcome(folder: Path, out: str) -> Outcome:
    """What lies in a folder, and the table that was printed."""
    files = {_named(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    tensors = {name: file_digest(path) for name, path in files.items() if _is_result(path)}
    rows = [{name: row[name] for name in SAME} for row in json.loads(out)]
    return Outcome(tensors, frozenset(name for name in files if not OWN.fullmatch(name)), rows)


def _named(path: Path) -> str:
    """A name that is the same in another folder: digests are remembered by the whole path of what they are of."""
    one_name = re.sub(r"digests/[0-9a-f]{32}\.json$", "digests/*.json", str(path))
    return re.sub(r"(\.leases/[^/]+)/\d+$", r"\1/*", one_name)  # how often a lease was taken is no result


def _is_result(path: Path) -> bool:
    """Tensors without times among them: units keep how long each took."""
    return path.suffix in (".safetensors", ".u8") and path.parent.name != "units"


@dataclass(frozen=True)
class Hit:
    """How a struck command ended.

    Attributes:
        strike: as it was carried out; None where its moment never came.
        others: how those beside it ended, which must not have noticed; None where there are none.
    """

    ended: Ended
    strike: Strike | None
    others: Ended | None = None


class Ground:
    """A folder of this machine, the command a fork of this process.

    Attributes:
        victims: who is killed at moments in time, by turns.
        at_calls: whether kills are aimed at its calls, too.
        in_a_row: kills at moments in time that follow one another, each of the command that goes on.
        forks: whether its commands are forks of this process.
    """

    victims: ClassVar[Sequence[Victim]] = ("group", "parent", "child")
    at_calls: ClassVar[bool] = True
    in_a_row: ClassVar[int] = 2
    forks: ClassVar[bool] = True

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        self.folder = folder
        self.command = Command(words, folder)

    def traced(self) -> tuple[Ended, Sequence[Call], float]:
        """The command to its end, with its calls and the seconds that it took."""
        ended, trap, seconds = self.command.traced()
        return ended, trap.calls(), seconds

    def struck(self, strike: Strike) -> Hit:
        """The command until it dies of a strike, or to its end."""
        ended, trap = self.command.struck(strike)
        if not is_killed(ended, strike):
            return Hit(ended, None)
        return Hit(ended, strike if isinstance(strike.moment, float) else as_it_was(strike, trap.calls()))

    def again(self, *more: str) -> Ended:
        """The command to its end, with more words."""
        return self.command.again(*more)

    def outcome(self, ended: Ended) -> Outcome:
        """What a command left that ended well."""
        return outcome(self.folder, ended.out)

    def close(self) -> None:
        """Lets go what is not a file."""


def is_killed(ended: Ended, strike: Strike) -> bool:
    """Whether its moment came. A command whose child was killed says so and goes on."""
    if strike.victim == "child":
        return "SIGKILL" in ended.err
    return ended.status == -signal.SIGKILL


def as_it_was(strike: Strike, calls: Sequence[Call]) -> Strike:
    """With the name of the call that was struck: side by side another may have come first."""
    return replace(strike, call=calls[int(strike.moment)].name)
