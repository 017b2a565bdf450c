"""Small sets made with a method, for its conformance tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.conformance.rounds import short_trainings, shortened
from bench.conformance.tiny import tiny_dataset, tiny_task
from bench.data.datasets import Dataset
from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.labels import Labels
from bench.planning.configuring import build, configure, keys_of
from bench.progress import Silent
from bench.recipes import Budget, Setting
from bench.running.procedure import Procedure
from bench.sets.condensed import first_of_each
from bench.speed.measuring import StepSpec, measure_step

TIMED_ROUNDS = 20  # of each of several networks that take turns some are timed after WARM_UP_STEPS
CARD = """
name = "tiny"
resolution = {size}
channels = 3
normalisation = "imagenet"
classes = 3
images = {{ train = 36, test = 6 }}

[[sources]]
layout = "none"
"""


class Suite(Protocol):
    """How large what is made is to be (see `bench.conformance.methods.MethodConformance`)."""

    plugins: Sequence[str]
    changes: Sequence[str]
    rounds: int
    resolution: int


@dataclass(frozen=True)
class Outcome:
    """What a method made of the task it works in: its units in order, their images, the stored whole, its labels.

    `disturbed` says what else it changed, a line each.
    """

    task: Task
    method: Condenser[Any]
    units: Sequence[Unit]
    pieces: Mapping[str, Images]
    stored: Images
    labels: Labels
    disturbed: Sequence[str] = ()

    @cached_property
    def made(self) -> Images:
        """All images as the method gave them, units in order."""
        return Images.joined([self.pieces[unit.name] for unit in self.units])


class _Drawn(Condenser[MethodConfig]):
    """Of a control: what it makes is made elsewhere."""

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """Never."""
        raise NotImplementedError


@dataclass(frozen=True)
class Maker:
    """Makes small sets with a method, every time in a workspace of its own."""

    suite: Suite
    registry: Registry
    name: str
    backbone: str
    folder: Path

    @property
    def method(self) -> type[Condenser[Any]]:
        """Its class."""
        loaded: type[Condenser[Any]] = self.registry.load("method", self.name)
        return loaded

    def make(self, workspace: str, *, seed: int = 0, ipc: int = 2, dataset: Dataset | None = None) -> Outcome:
        """A whole set."""
        return self.complete(self.ready(workspace, seed=seed, ipc=ipc, dataset=dataset))

    def pixels(self, workspace: str, *, seed: int) -> Tensor:
        """All images as the method gives them, units in order, without labels."""
        procedure = self.ready(workspace, seed=seed)
        pieces = self._pieces(procedure, procedure.units())
        return torch.cat([piece.pixels for piece in pieces.values()])

    def ready(self, workspace: str, *, seed: int = 0, ipc: int = 2, dataset: Dataset | None = None) -> Procedure:
        """The method, prepared for a task of its own."""
        task = tiny_task(
            self.folder,
            dataset=dataset or tiny_dataset(resolution=self.suite.resolution),
            ipc=ipc,
            backbone=self.backbone,
            seed=seed,
            plugins=self.suite.plugins,
            workspace=workspace,
        )
        method = self._method(task.setting)
        procedure = Procedure(method, task, method)
        procedure.prepare()
        return procedure

    def _method(self, at: Setting) -> Condenser[Any]:
        return build(self.registry, configure(self.registry, self.name, at, self._changes(at, self.suite.rounds)))

    def complete(self, procedure: Procedure, *, reverse: bool = False) -> Outcome:
        """Every unit synthesised in a workspace of its own, stored, and labelled."""
        units = list(procedure.units())
        pieces = self._pieces(procedure, units[::-1] if reverse else units)
        stored = procedure.stored(Images.joined([pieces[unit.name] for unit in units]))
        with short_trainings(self.suite.rounds):
            procedure.prepare_labels()
            labels = procedure.label(stored)
        return Outcome(procedure.task, procedure.method, units, pieces, stored, labels)

    def labelled_anew(self, workspace: str, stored: Images) -> Labels:
        """The labels of a set that was kept, by a method that made none of it: as of a run that goes on."""
        procedure = self.ready(workspace)
        with short_trainings(self.suite.rounds):
            procedure.prepare_labels()
            return procedure.label(stored)

    def labelled_control(self, workspace: str) -> tuple[Images, Labels]:
        """Real images, which bring no labels of their own, and the method's labels of them."""
        given = self.ready(workspace).given
        train = given.dataset.train
        chosen = first_of_each(train.labels, given.ipc)
        images, labeller = Images(train.take(chosen), train.labels[chosen]), self._method(given.setting)
        procedure = Procedure(_Drawn(MethodConfig()), given, labeller)
        with short_trainings(self.suite.rounds):
            procedure.prepare_labels()
            return images, procedure.label(images)

    def measured(self, engine: str, folder: Path) -> dict[str, Any]:
        """What `bench speed` measures of a step that is not compiled."""
        card, size = folder / "tiny.toml", self.suite.resolution
        card.write_text(CARD.format(size=size))
        at = replace(setting(size, 3, self.backbone), classes=3, ipc=1)
        changes = [*self._changes(at, TIMED_ROUNDS), f"{self.method.knobs['engine']}={engine}"]
        choice = configure(self.registry, self.name, at, changes)
        spec = StepSpec(choice, str(card), at.classes, 1, self.backbone, "fp32", "never", iterations=1)
        return measure_step(spec, self.registry, folder / engine, torch.device("cpu"), Silent())

    def _pieces(self, procedure: Procedure, units: Sequence[Unit]) -> dict[str, Images]:
        procedure.warm_up()
        return {unit.name: procedure.synthesize(unit, workspace=_own_workspace(procedure, unit)) for unit in units}

    def _changes(self, at: Setting, rounds: int) -> list[str]:
        """The author's changes after those that lower the rounds."""
        config = build(self.registry, configure(self.registry, self.name, at, ())).config
        return [*shortened(config, keys_of(self.method.Config), rounds), *self.suite.changes]


def setting(resolution: int, channels: int, backbone: str, budget: Budget = "paper") -> Setting:
    """Of a dataset that no recipe knows, with ten classes."""
    return Setting("tiny", resolution, channels, 10, 10, backbone, budget)


def backbone_for(registry: Registry, method: str) -> str:
    """A ConvNet-3 where it has what the method needs, else the first backbone that does."""
    needs = registry.find("method", method).offer.needs
    fitting = [each.offer.name for each in registry.registered("backbone") if needs <= each.offer.traits]
    assert fitting, f"no registered backbone has {', '.join(sorted(needs))}"
    return min(fitting, key=lambda name: (not name.startswith("convnet3"), name))


def _own_workspace(procedure: Procedure, unit: Unit) -> Path:
    workspace = procedure.given.workspace / unit.name
    workspace.mkdir(parents=True, exist_ok=True)
    return workspace


def in_spite_of_stops(procedure: Procedure, unit: Unit, stops: int = 2) -> Images:
    """Stops it at its first look, starts it again, and the last time lets it finish."""
    workspace = _own_workspace(procedure, unit)
    for _ in range(stops):
        try:
            return procedure.synthesize(unit, workspace=workspace, should_stop=lambda: True)
        except Interrupted:
            continue
    return procedure.synthesize(unit, workspace=workspace)
