"""A plugin of methods that note something, rightly or not, and of a protocol that does."""

from collections.abc import Sequence

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.drawing import draw
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl
from bench.sets.condensed import CondensedSet


class Modest(Condenser[MethodConfig]):
    """Real images. Its notes have names of their own."""

    def synthesize(self, task: Task, unit: Unit) -> Images:
        self.note(task)
        chosen = torch.cat([draw(task.dataset, label, task.ipc, task.seed_for("any")) for label in unit.classes])
        return Images(task.dataset.train.take(chosen), task.dataset.train.labels[chosen])

    def note(self, task: Task) -> None:
        task.facts |= {"own_iterations": 7, "candidates": [1, 2]}


class Boaster(Modest):
    """It says what it never did."""

    def note(self, task: Task) -> None:
        task.facts["iterations"] = 123456


class Thief(Modest):
    """It calls what it trained elsewhere the teacher of its labels."""

    def note(self, task: Task) -> None:
        task.facts.update(teacher_top1=99.9)


class Vague(Modest):
    """What it notes cannot be kept."""

    def note(self, task: Task) -> None:
        task.facts["loss"] = float("nan")


class Noting(Protocol):
    """A protocol that scores 12.5 and notes something."""

    def __init__(self, name: str, note: str) -> None:
        self.name, self.labels, self._note = name, "hard", note

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        task.facts[self._note] = 88.8
        return Scores(12.5, None, 1, 0.5)


@hookimpl
def bench_methods() -> Sequence[Offer]:
    methods = {"modest": Modest, "boaster": Boaster, "thief": Thief, "vague": Vague}
    return [Offer(name, method, "a test") for name, method in methods.items()]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    notes = {"honest": "margin", "flattering": "top1"}
    return [Offer(name, Noting(name, note), "a test") for name, note in notes.items()]
