"""What trajectory matching matches: stretches of experts' trajectories by students' steps. Its settings and draws."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from bench import seeds
from bench.condensation import MethodConfig, Task
from bench.training.augmentation import dsa
from bench.training.recipes import DsaStrategy
from bench_matching.experts import ExpertRecipe, Experts

Engine = Literal["fast", "reference"]
Positive = Annotated[float, Field(gt=0)]


class TrajectoryConfig(MethodConfig):
    """What is matched, and how.

    Attributes:
        experts: how the trajectories that are matched are made.
        zca: experts, images and students live in ZCA-whitened space.
        iterations: updates of the images.
        steps: N, a student's steps on synthetic images.
        expert_epochs: M, the epochs of an expert that they are to cover.
        max_start_epoch: a segment of a trajectory starts after 0 to max_start_epoch - 1 epochs.
        batch_size: synthetic images a student's step, or "all"; no more than there are.
        dsa: augmentation of each student's batch, drawn per image; "" for none.
        lr_img, lr_lr: rates of SGD on the pixels and on the students' step size.
        lr_init: the step size at first.
        momentum: of both.
        engine: "reference" computes as the papers do, "fast" the same arranged for the hardware.
    """

    experts: ExpertRecipe
    zca: bool = False
    iterations: int = Field(ge=1)
    steps: int = Field(ge=1)
    expert_epochs: int = Field(ge=1)
    max_start_epoch: int = Field(ge=1)
    batch_size: Annotated[int, Field(ge=1, strict=True)] | Literal["all"] = "all"
    dsa: DsaStrategy = ""
    lr_img: Positive
    lr_lr: float = Field(ge=0)
    lr_init: Positive
    momentum: float = Field(default=0.5, ge=0, lt=1)
    engine: Engine = "fast"

    @property
    def last_target(self) -> int:
        """The last epoch of an expert that can be a target."""
        return self.max_start_epoch - 1 + self.expert_epochs

    @property
    def last_epoch(self) -> int:
        """How far experts are trained."""
        return self.last_target

    def start_epochs(self, iteration: int) -> range:
        """After how many epochs the segment of an iteration may start."""
        return range(self.max_start_epoch)

    def batch(self, images: int) -> int:
        """Synthetic images a step, of so many."""
        return images if self.batch_size == "all" else min(self.batch_size, images)


@dataclass(frozen=True)
class Step:
    """One step of a student.

    Attributes:
        indices: int64 (B,), which synthetic images, each at most once.
        augmentation: a drawing of DSA for them, or None.
    """

    indices: Tensor
    augmentation: dsa.Augmentation | None = None

    def seen(self, images: Tensor) -> Tensor:
        """What the student sees of all images (N, C, S, S): the batch (B, C, S, S), augmented."""
        return self._augmented(images[self.indices])

    def pull_back(self, images: Tensor, derivative: Tensor, into: Tensor) -> None:
        """Adds to `into` (N, C, S, S) the derivative (B, C, S, S) by what is seen, carried over to the images."""
        batch = images[self.indices].detach().requires_grad_()
        (found,) = torch.autograd.grad(self._augmented(batch), [batch], derivative)
        into[self.indices] += found

    def _augmented(self, batch: Tensor) -> Tensor:
        return self.augmentation.apply(batch) if self.augmentation else batch.clone()


@dataclass(frozen=True)
class Segment:
    """What one iteration matches: a stretch of an expert's trajectory, by a student's steps.

    Attributes:
        start, target: float32 (P,), the expert's weights at its ends.
        steps: of the student, in order.
    """

    start: Tensor
    target: Tensor
    steps: Sequence[Step]

    def distance(self) -> Tensor:
        """||start - target||², a scalar: what the loss is measured in."""
        return (self.start - self.target).square().sum()


class Draws:
    """Every draw of a synthesis. That of an iteration needs none before it, so a loop can resume anywhere."""

    def __init__(self, task: Task, config: TrajectoryConfig, experts: Experts) -> None:
        self._task, self._config, self._experts = task, config, experts
        self._seed, self._images = task.seed_for("trajectories"), task.classes * task.ipc

    def segment(self, iteration: int) -> Segment:
        """A segment on the task's device. The experts take turns, in a new order every round."""
        turn, place = divmod(iteration, len(self._experts))
        expert = int(seeds.counter(self._seed, turn, 0, 0).permutation(len(self._experts))[place])
        rng = seeds.counter(self._seed, iteration, 0, 1)
        starts = self._config.start_epochs(iteration)
        first = int(rng.integers(starts.start, starts.stop))
        start, target = self._experts.weights(expert, (first, first + self._config.expert_epochs))
        start, target = (each.to(self._task.device, non_blocking=True) for each in (start, target))
        return Segment(start, target, list(self._steps(iteration, self._task.pace.part(self._config.steps))))

    def _steps(self, iteration: int, count: int) -> Iterator[Step]:
        """Batches are parts of a permutation of all images, and of the next one when it is used up."""
        order = seeds.counter(self._seed, iteration, 0, 2)
        left: list[Tensor] = []
        batch = self._config.batch(self._images)
        for number in range(count):
            left = left or list(torch.from_numpy(order.permutation(self._images)).split(batch))
            yield self._step(left.pop(), iteration, number)

    def _step(self, indices: Tensor, iteration: int, number: int) -> Step:
        strategy, resolution = self._config.dsa, self._task.dataset.resolution
        rng = seeds.counter(self._seed, iteration, number, 3)
        augmentation = dsa.draw(strategy, len(indices), resolution, rng) if strategy else None
        return Step(indices.to(self._task.device, non_blocking=True), augmentation)
