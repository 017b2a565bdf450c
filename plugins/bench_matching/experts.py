"""Expert trajectories: the weights of networks trained on the real images, after every epoch (MTT, section 3.1).

Each expert is a stage of its own, so runs that go on at the same time share the work, and MTT and TESLA share experts.
Where no segment ends later than some epoch, experts are trained up to that epoch and no further: MTT on CIFAR-10 at one
image per class needs 3 of 50. The released code trains experts at a constant rate (buffer.py, `--decay` being off), so
the first epochs of a training are the same whatever its length: a longer trajectory serves a shorter need.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from bench import seeds
from bench.condensation import Task
from bench.storage.shared.stages import LockHeld, Made, StageResult
from bench.storage.tensor_files import read_rows
from bench.training import loop, teachers
from bench.training.recipes import TrainingRecipe
from bench.training.seen import seen_once
from bench.training.testing import accuracy

KIND = "expert"
VERSION = 1
SNAPSHOTS = "snapshots"


class ExpertRecipe(TrainingRecipe):
    """How to train the experts, and how many.

    Attributes:
        count: how many; each from weights of its own, on batches in an order of its own.
    """

    count: int = Field(ge=1)

    def training(self, epochs: int | None = None) -> TrainingRecipe:
        """The recipe of one training, which the number of experts does not change; or of its first `epochs`."""
        full = TrainingRecipe(**self.model_dump(exclude={"count"}))
        return full if epochs is None else full.model_copy(update={"epochs": epochs})

    def lengths(self, last: int) -> range:
        """Epochs of trainings whose first `last` epochs are those of this recipe: of all rates but a constant one, its
        own length alone, which decides every epoch's rate."""
        begins_alike = self.schedule == "constant" and self.warmup_epochs < last
        return range(last if begins_alike else self.epochs, self.epochs + 1)


@dataclass(frozen=True)
class Experts:
    """The trajectories of one recipe: files of `snapshots`, float32 (epochs + 1, P). Row e is after e epochs."""

    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.files)

    def weights(self, index: int, epochs: Iterable[int]) -> tuple[Tensor, ...]:
        """The weights of one expert after so many epochs, float32 (P,) each; nothing else of its file is read."""
        return read_rows(self.files[index], SNAPSHOTS, list(epochs)).unbind()


def flattened(network: nn.Module) -> Tensor:
    """All weights in the order of `network.parameters()`, laid end to end: float32 (P,), a copy on the CPU."""
    return torch.cat([weight.detach().flatten() for weight in network.parameters()]).float().cpu()


def expert_trajectories(task: Task, recipe: ExpertRecipe, last: int | None = None) -> Experts:
    """Trains the experts, or finds them trained.

    Args:
        last: the last epoch whose weights are wanted, at most the recipe's; None: all of its epochs.

    An expert that another live process is training is passed over and taken up at the end. A dry run and `bench speed`
    train fewer, or none to its end (`Pace.alike`); then there are fewer trajectories.

    Their images go through a costly preprocessing once for all of them. The mean of their own accuracies, after the
    last epoch that each was trained, goes to `task.facts["expert_top1"]`, and these epochs to `"expert_epochs"`.
    """
    task, last = seen_once(task), recipe.epochs if last is None else last
    made: dict[int, StageResult] = {}
    passed_over: list[int] = []
    for index in task.pace.alike("experts", recipe.count):
        passed_over.append(index)
        with suppress(LockHeld):
            made[index] = _expert(task, recipe, index, last, wait=False)
            passed_over.pop()
        task.progress.advance("experts", len(made), recipe.count)
    for index in passed_over:
        made[index] = _expert(task, recipe, index, last, wait=True)
        task.progress.advance("experts", len(made), recipe.count)
    found = [stage.facts["top1"] for stage in made.values() if stage.facts["top1"] is not None]
    task.facts["expert_top1"] = sum(found) / len(found) if found else None
    task.facts["expert_epochs"] = sorted({stage.facts["epochs"] for stage in made.values()})
    return Experts(tuple(task.stages.file(KIND, made[index].hash) for index in sorted(made)))


def _expert(task: Task, recipe: ExpertRecipe, index: int, last: int, *, wait: bool) -> StageResult:
    """The shortest training there is that goes as far as `last`, or else one that goes no further."""
    trainings = [recipe.training(epochs) for epochs in recipe.lengths(last)]
    stages = ((each, task.found_stage(KIND, VERSION, _parameters(task, each, index))) for each in trainings)
    training, stage = next((each for each in stages if each[1]), (trainings[0], None))
    if stage is None:
        parameters = _parameters(task, training, index)
        stage = task.stage(KIND, VERSION, parameters, lambda folder: _trained(task, training, index, folder), wait=wait)
    facts = {**stage.facts, "epochs": training.epochs}
    return replace(stage, tensors={}, facts=facts)  # its snapshots need not stay in memory


def _parameters(task: Task, training: TrainingRecipe, index: int) -> dict[str, Any]:
    """What decides an expert, beside the dataset."""
    return {
        "recipe": training.model_dump(mode="json"),
        "backbone": task.backbone,
        "seed": task.seed,
        "index": index,
        "loop": loop.VERSION,
    }


def _trained(task: Task, recipe: TrainingRecipe, index: int, folder: Path) -> Made:
    seed, dataset = task.seed_for("expert", index), task.dataset
    network = loop.place(task.network(seeds.derive("init", seed)), task)
    snapshots = _unreached(flattened(network), recipe.epochs)

    def keep(epoch: int, trained: nn.Module) -> None:
        snapshots[epoch] = flattened(trained)

    job = teachers.on_real_images(task, recipe, seed, folder, "expert")
    job = replace(job, after_epoch=keep, keeps={SNAPSHOTS: snapshots})
    dataset.train.ready()
    network = loop.train(task, network, job)
    dataset.test.ready()
    top1 = accuracy(network, dataset.test, dataset.normalisation, task)[0] if len(dataset.test) else None
    return Made({SNAPSHOTS: snapshots}, {"top1": top1})


def _unreached(start: Tensor, epochs: int) -> Tensor:
    """(epochs + 1, P): the first weights, and for every epoch that the training has not reached the same ones, shifted.

    Only where a loop is cut short, in a dry run or `bench speed`, does a shifted row remain. Matching divides by the
    distance between two snapshots; of these no two are alike, and they are as large as real weights.
    """
    return torch.stack([start.roll(epoch) for epoch in range(epochs + 1)])
