"""What MTT and TESLA share: their hyper-parameters, their draws, and the loop around the gradients that each has."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from bench import seeds
from bench.condensation import Condenser, Images, MethodConfig, PixelFormat, Task, Unit
from bench.errors import RunFailure, UsageError
from bench.hardware.memory_order import memory_order
from bench.loops.checkpoints import State
from bench.recipes import Setting
from bench.training import dsa
from bench.training.recipes import DsaStrategy
from bench.whitening import check_whitening, fit
from bench_matching.experts import ExpertRecipe, Experts, expert_trajectories
from bench_matching.networks import check_classes
from bench_matching.reals import start
from bench_matching.student import Derivatives, FastDerivatives, PlainDerivatives, Student

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
        first = int(rng.integers(self._config.max_start_epoch))
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


T = TypeVar("T", bound=TrajectoryConfig)
LOOK_EVERY = 500  # updates between two looks at the step size; each costs a synchronisation
Gradients = tuple[Tensor, Tensor]  # of the loss, by the images (N, C, S, S) and by the step size (a scalar)


class TrajectoryMatcher(Condenser[T]):
    """A condenser that matches trajectories; you must write `gradients`.

    One update moves all images, so there is one unit, and a step of `bench speed` is one update.
    """

    version: ClassVar[int] = 2
    knobs: ClassVar[Mapping[str, str]] = {"engine": "engine"}
    of_weights: ClassVar[bool] = True  # whether the derivatives by the weights are needed
    _experts: Experts
    _derivatives: Derivatives | None = None

    def check(self, setting: Setting) -> None:
        """Refuses targets that experts never reach, one class, and whitening of large images."""
        check_classes(setting)
        config = self.config
        if config.last_target > config.experts.epochs:
            raise UsageError(
                f"max_start_epoch {config.max_start_epoch} and expert_epochs {config.expert_epochs} ask for experts of "
                f"{config.last_target} epochs; experts.epochs is {config.experts.epochs}"
            )
        if config.zca:
            check_whitening(setting)

    @property
    def pixel_format(self) -> PixelFormat:
        """Pixels are free to leave the valid box."""
        return "float32"

    def prepare(self, task: Task) -> Task:
        """Fits the whitening, if it is asked for, and trains the experts in its space, up to the last epoch that is a
        target; or finds them."""
        seen = self._seen(task)
        self._experts = expert_trajectories(seen, self.config.experts, self.config.last_target)
        return seen

    def prepare_labels(self, task: Task) -> Task:
        """The whitening: hard labels need no experts."""
        return self._seen(task)

    def _seen(self, task: Task) -> Task:
        """The task seen through the whitening, or as it is."""
        return task.seen_through(fit(task)) if self.config.zca else task

    def warm_up(self, task: Task) -> None:
        """Compiles the student's derivatives."""
        self._derivatives = self._make_derivatives(task)

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """All images, class by class, and the step size that was learned with them.

        Raises:
            RunFailure: that is not above 0, and nothing can be trained with it.
        """
        config = self.config
        self._derivatives = self._derivatives or self._make_derivatives(task)
        classes = torch.arange(task.classes).repeat_interleave(task.ipc)
        images = start(task, "real").flatten(0, 1)
        step_size = torch.tensor(config.lr_init, device=task.device)
        rates = [{"params": [images], "lr": config.lr_img}, {"params": [step_size], "lr": config.lr_lr}]
        sgd = torch.optim.SGD(rates, momentum=config.momentum)
        targets = self.first_targets(task, classes.to(task.device))
        state: State = {"images": images, "step size": step_size, "targets": targets, "optimizer": sgd}
        draws = Draws(task, config, self._experts)
        for iteration in task.iterations(config.iterations, images=len(images), state=state, what="match"):
            segment = draws.segment(iteration)
            self.retarget(targets, images, segment)
            images.grad, step_size.grad = self.gradients(images, targets, step_size, segment)
            sgd.step()
            if (iteration + 1) % LOOK_EVERY == 0:
                usable(float(step_size))
        task.facts["learned_lr"] = learned = usable(float(step_size))  # noted too: a row shows it
        soft = targets.cpu() if targets.is_floating_point() else None
        return Images(images.detach().cpu(), classes, soft, learned)

    @abstractmethod
    def gradients(self, images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment) -> Gradients:
        """Of the matching loss on one segment."""

    def first_targets(self, task: Task, classes: Tensor) -> Tensor:
        """What students are trained towards: the classes, int64 (N,), or distributions, float32 (N, K)."""
        return classes

    def retarget(self, targets: Tensor, images: Tensor, segment: Segment) -> None:
        """Changes the targets in place before an update, where they depend on the images."""

    @property
    def derivatives(self) -> Derivatives:
        """The student's, once there is one."""
        assert self._derivatives is not None
        return self._derivatives

    @property
    def soft(self) -> bool:
        """Whether students are trained towards distributions."""
        return False

    @property
    def stepwise(self) -> bool:
        """Whether the gradients are taken by fast derivatives of single steps."""
        return self.config.engine == "fast"

    def student(self, task: Task) -> Student:
        """The task's backbone as a function of its weights."""
        network, order = task.network(task.seed_for("student")), torch.contiguous_format
        if self.config.engine == "fast":
            order = memory_order(network, task.device, task.precision)
        return Student(network, bf16=task.precision == "bf16", order=order)

    def _make_derivatives(self, task: Task) -> Derivatives:
        config, student = self.config, self.student(task)
        if not self.stepwise:
            return PlainDerivatives(student, of_weights=self.of_weights)
        batch, steps = config.batch(task.classes * task.ipc), config.iterations * config.steps
        return FastDerivatives(student, task, batch=batch, soft=self.soft, steps=steps, of_weights=self.of_weights)


def usable(step_size: float) -> float:
    """The students' step size.

    Raises:
        RunFailure: it is not above 0, and nothing can be trained with it.
    """
    if not step_size > 0:  # NaN is none either
        raise RunFailure(
            f"the students' step size was learned to be {step_size:.3g}, with which nothing can be trained; "
            "a smaller lr_lr (--set lr_lr=...) or a larger lr_init keeps it above 0"
        )
    return step_size
