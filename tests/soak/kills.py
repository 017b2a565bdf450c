"""Kills without number: each scene is killed at its calls and at random moments, and its command then ends the same.

The same is: images, labels and teachers byte for byte, every score, the same files under the same names and no other
(nothing half-written, nothing set aside as damaged).
"""

import json
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.storage.files import file_digest
from tests.soak.commands import Command, Ended
from tests.soak.scenes import Scene
from tests.soak.trap import Call, Strike, Victim

VICTIMS: tuple[Victim, ...] = ("group", "parent", "child")
SAME = (
    *("run", "status", "reason", "images", "label_kind", "top1_values", "top5_mean", "teacher_top1"),
    *("epochs", "iterations", "set_bytes", "label_bytes", "control"),
)
OWN = ("calls.txt", "out.txt", "err.txt")  # what this harness keeps in a scene's folder


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
    """What lies in a scene's folder, and the table that was printed."""
    files = {_named(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    tensors = {name: file_digest(path) for name, path in files.items() if _is_result(path)}
    rows = [{name: row[name] for name in SAME} for row in json.loads(out)]
    return Outcome(tensors, frozenset(files.keys() - set(OWN)), rows)


def _named(path: Path) -> str:
    """A name that is the same in another folder: digests are remembered by the whole path of what they are of."""
    one_name = re.sub(r"digests/[0-9a-f]{32}\.json$", "digests/*.json", str(path))
    return re.sub(r"(\.leases/[^/]+)/\d+$", r"\1/*", one_name)  # how often a lease was taken is no result


def _is_result(path: Path) -> bool:
    """Tensors without times among them: units keep how long each took."""
    return path.suffix in (".safetensors", ".u8") and path.parent.name != "units"


@dataclass(frozen=True)
class Reference:
    """A scene that nobody killed: what it left, the calls that it made, and the seconds that it took."""

    scene: Scene
    outcome: Outcome
    calls: Sequence[Call]
    seconds: float


@dataclass(frozen=True)
class Attack:
    """A scene and the kills of it, one after the other: each but the first strikes the command that goes on."""

    scene: Scene
    strikes: Sequence[Strike]


@dataclass(frozen=True)
class Fate:
    """How an attack ended: who was killed, of those that were to be, and what differs at the end."""

    attack: Attack
    killed: Sequence[Strike]
    differences: Sequence[str] = field(default_factory=list)


def reference(scene: Scene, folder: Path) -> Reference:
    """Runs a scene to its end.

    Raises:
        AssertionError: it fails, or a second time gives another outcome or other calls: nothing could be held to that.
    """
    found = [_traced(scene, folder) for _ in range(2)]
    first, second = found
    assert not first.outcome.differences(second.outcome), first.outcome.differences(second.outcome)
    assert first.calls == second.calls, f"{scene.name} makes other calls each time"
    return second


def _traced(scene: Scene, folder: Path) -> Reference:
    command = scene.command(folder)
    ended, trap, seconds = command.traced()
    assert ended.status == 0, ended.err
    return Reference(scene, outcome(command.folder, ended.out), trap.calls(), seconds)


def planned(whole: Reference, moments: int, seed: int = 0) -> list[Attack]:
    """A kill before each call, and after each that takes a tree away; then pairs of kills at random moments.

    Who is killed takes turns for each kind of call. A call of the command itself finds no child to be killed.
    """
    turns, draws = Counter[tuple[str, str]](), random.Random(seed)
    strikes = []
    for call in whole.calls:
        for after in (False, True) if call.name == "rmtree" else (False,):
            victims = VICTIMS if call.role == "child" else ("parent",)
            turn = turns[call.name, call.role]
            turns[call.name, call.role] += 1
            strikes.append(Strike(victims[turn % len(victims)], call.number, after, call.name))
    pairs = [
        [Strike(draws.choice(VICTIMS), draws.uniform(0.0, whole.seconds)) for _ in range(2)]
        for _ in range(moments // 2)
    ]
    return [Attack(whole.scene, each) for each in [*([strike] for strike in strikes), *pairs]]


def thinned(attacks: Sequence[Attack], count: int | None) -> list[Attack]:
    """So many of them, evenly over all; all of them without a number."""
    if count is None or count >= len(attacks):
        return list(attacks)
    return [attacks[(2 * n + 1) * len(attacks) // (2 * count)] for n in range(count)]


def carried_out(attacks: Sequence[Attack], whole: Mapping[str, Outcome], folder: Path, jobs: int) -> Iterator[Fate]:
    """How each ended, in order, so many of them at a time."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        yield from pool.map(partial(_fate, whole, folder), range(len(attacks)), attacks)


def _fate(whole: Mapping[str, Outcome], folder: Path, number: int, attack: Attack) -> Fate:
    here = folder / f"kill-{number}"
    command = attack.scene.command(here)
    killed, last = [], None
    for strike in attack.strikes:
        last = command.struck(strike)
        if _is_killed(last, strike):
            killed.append(strike)
    differences = _differences(command, whole[attack.scene.name], with_failures=bool(killed))
    if not differences:
        shutil.rmtree(here)
    return Fate(attack, killed, differences)


def _is_killed(ended: Ended, strike: Strike) -> bool:
    """Whether its moment came. A command whose child was killed says so and goes on."""
    if strike.victim == "child":
        return "SIGKILL" in ended.err
    return ended.status == -signal.SIGKILL


def _differences(command: Command, whole: Outcome, *, with_failures: bool) -> list[str]:
    """What is not as it is without a kill once the same command was typed again."""
    ended = command.again("--retry-failed") if with_failures else command.again()
    if ended.status != 0 or "Traceback" in ended.err:
        return [f"status {ended.status}: {ended.err[-2000:]}"]
    return whole.differences(outcome(command.folder, ended.out))


@dataclass
class Tally:
    """Counts fates as they come."""

    kills: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    differing: list[Fate] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def add(self, fate: Fate) -> None:
        """One more."""
        for strike in fate.killed:
            self.kills[fate.attack.scene.name, strike.call or "a random moment", strike.victim] += 1
        if fate.differences:
            self.differing.append(fate)

    def to_json(self) -> dict[str, Any]:
        """Kills by scene, moment and victim; how many attacks ended otherwise, and the seconds of all."""
        kills = [
            {"scene": scene, "moment": moment, "victim": victim, "kills": count}
            for (scene, moment, victim), count in sorted(self.kills.items())
        ]
        return {"kills": kills, "differing": len(self.differing), "seconds": round(time.monotonic() - self.began)}
