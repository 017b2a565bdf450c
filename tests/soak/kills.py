"""Kills without number: each scene is killed at its calls and at random moments, and its command then ends the same.

The same is: images, labels and teachers byte for byte, every score, the same files under the same names and no other
(nothing half-written, nothing set aside as damaged).
"""

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.soak.commands import Ended
from tests.soak.grounds import Ground, Outcome
from tests.soak.scenes import Scene
from tests.soak.trap import Call, Strike, Victim

VICTIMS: tuple[Victim, ...] = ("group", "parent", "child")
SPARED = ("server", "worker", "node")  # whose death the command survives, and ends as if nothing had been


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
    first, second = (_traced(scene, folder) for _ in range(2))
    assert not first.outcome.differences(second.outcome), first.outcome.differences(second.outcome)
    assert not scene.in_order or first.calls == second.calls, f"{scene.name} makes other calls each time"
    return second


def _traced(scene: Scene, folder: Path) -> Reference:
    with closing(scene.staged(folder)) as ground:
        ended, calls, seconds = ground.traced()
        assert ended.status == 0, ended.err
        return Reference(scene, ground.outcome(ended), calls, seconds)


def planned(whole: Reference, moments: int, seed: int = 0) -> list[Attack]:
    """A kill before each call, and after each that takes a tree away; then kills at random moments.

    Who is killed takes turns for each kind of call. A call of the command itself finds no child to be killed.
    """
    ground, draws = whole.scene.ground, random.Random(seed)
    victims = cycle(ground.victims)
    in_time = [
        [Strike(next(victims), draws.uniform(0.0, whole.seconds)) for _ in range(ground.in_a_row)]
        for _ in range(moments // ground.in_a_row)
    ]
    at_calls = [[strike] for strike in _at_calls(whole.calls)] if ground.at_calls else []
    return [Attack(whole.scene, each) for each in [*at_calls, *in_time]]


def _at_calls(calls: Sequence[Call]) -> Iterator[Strike]:
    turns = Counter[tuple[str, str]]()
    for call in calls:
        for after in (False, True) if call.name == "rmtree" else (False,):
            victims = VICTIMS if call.role == "child" else ("parent",)
            turn = turns[call.name, call.role]
            turns[call.name, call.role] += 1
            yield Strike(victims[turn % len(victims)], call.number, after, call.name)


def thinned(attacks: Sequence[Attack], count: int | None) -> list[Attack]:
    """So many of them, evenly over all; all of them without a number."""
    if count is None or count >= len(attacks):
        return list(attacks)
    return [attacks[(2 * n + 1) * len(attacks) // (2 * count)] for n in range(count)]


def carried_out(attacks: Sequence[Attack], whole: Outcome, folder: Path, jobs: int) -> Iterator[Fate]:
    """How each ended, in order, so many of them at a time; 0: one after the other in this process."""
    fate, numbers = partial(_fate, whole, folder), range(len(attacks))
    if not jobs:
        yield from map(fate, numbers, attacks)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        yield from pool.map(fate, numbers, attacks)


def _fate(whole: Outcome, folder: Path, number: int, attack: Attack) -> Fate:
    here = folder / f"kill-{number}"
    with closing(attack.scene.staged(here)) as ground:
        try:
            killed, differences = _attacked(ground, attack, whole)
        except AssertionError as error:  # it hangs
            killed, differences = [], [str(error)]
    if not differences:
        shutil.rmtree(here)
    return Fate(attack, killed, differences)


def _attacked(ground: Ground, attack: Attack, whole: Outcome) -> tuple[list[Strike], list[str]]:
    """The kills that were carried out, and what differs at the end."""
    killed, differences = list[Strike](), list[str]()
    for strike in attack.strikes:
        hit = ground.struck(strike)
        killed += [hit.strike] if hit.strike else []
        if strike.victim in SPARED:
            differences += _of_end(hit.ended)
        if hit.others:
            differences += _of_end(hit.others)
    ended = ground.again("--retry-failed") if killed else ground.again()
    return killed, differences or _of_end(ended) or whole.differences(ground.outcome(ended))


def _of_end(ended: Ended) -> list[str]:
    """What is wrong with how a command ended that should end well."""
    wrong = ended.status != 0 or "Traceback" in ended.err
    return [f"status {ended.status}: {ended.err[-2000:]}"] if wrong else []


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
