"""What MTT, TESLA and DATM share: the loop around the gradients that each has."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.optim import SGD

from bench.condensation import Condenser, Images, PixelFormat, Task, Unit
from bench.errors import RunFailure, UsageError
from bench.hardware.memory_order import memory_order
from bench.loops.checkpoints import State
from bench.recipes import Setting
from bench.whitening import check_whitening, fit
from bench_matching.experts import Experts, expert_trajectories
from bench_matching.networks import check_classes
from bench_matching.passes import BY_IMAGES, BY_WEIGHTS, GRADIENT
from bench_matching.reals import start
from bench_matching.segments import Draws, Segment, TrajectoryConfig
from bench_matching.student import Derivatives, FastDerivatives, PlainDerivatives, Student

T = TypeVar("T", bound=TrajectoryConfig)
LOOK_EVERY = 500  # updates between two looks at the step size; each costs a synchronisation


class Gradients(NamedTuple):
    """Of the loss on one segment.

    Attributes:
        images: (N, C, S, S).
        step_size: a scalar.
        loss: itself, a scalar.
        targets: (N, K), where they are learned.
    """

    images: Tensor
    step_size: Tensor
    loss: Tensor
    targets: Tensor | None = None


class TrajectoryMatcher(Condenser[T]):
    """A condenser that matches trajectories; you must write `gradients`.

    One update moves all images, so there is one unit, and a step of `bench speed` is one update.
    """

    version: ClassVar[int] = 2
    learns_lr: ClassVar[bool] = True
    knobs: ClassVar[Mapping[str, str]] = {"engine": "engine"}
    of_weights: ClassVar[bool] = True  # whether the derivatives by the weights are needed
    of_targets: ClassVar[bool] = False  # and those by the targets
    _experts: Experts
    _derivatives: Derivatives | None = None

    def differs(self, setting: Setting) -> Sequence[str]:
        """Each release keeps the images that tested best; a student counts after its last epoch there as well."""
        return ["the release picks the images by their test accuracy on the way, these are the last"]

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

    def passes(self, setting: Setting) -> Mapping[str, float]:
        """In each step of a student its batch has gradients, and their derivatives, but by the first weights."""
        images, steps = setting.classes * setting.ipc, self.config.steps
        batch = images if self.config.batch_size == "all" else min(images, self.config.batch_size)
        passes = steps * (GRADIENT + BY_IMAGES) + (steps - 1) * BY_WEIGHTS * self.of_weights
        return {setting.backbone: passes * batch / images}

    @property
    def pixel_format(self) -> PixelFormat:
        """Pixels are free to leave the valid box."""
        return "float32"

    def prepare(self, task: Task) -> Task:
        """Fits the whitening, if it is asked for, and trains the experts in its space, as far as they are needed; or
        finds them."""
        seen = self._seen(task)
        self._experts = expert_trajectories(seen, self.config.experts, self.config.last_epoch)
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
        images = self.first_images(task)
        step_size = torch.tensor(config.lr_init, device=task.device)
        targets = self.first_targets(task, images, classes.to(task.device))
        sgd = SGD(self.rates(images, step_size, targets), momentum=config.momentum)
        state: State = {"images": images, "step size": step_size, "targets": targets, "optimizer": sgd, **self.kept}
        draws = Draws(task, config, self._experts)
        for iteration in task.iterations(config.iterations, images=len(images), state=state, what="match"):
            segment = draws.segment(iteration)
            self.retarget(targets, images, segment)
            found = self.gradients(images, targets, step_size, segment)
            images.grad, step_size.grad, targets.grad = found.images, found.step_size, found.targets
            self.step(sgd, found.loss)
            if (iteration + 1) % LOOK_EVERY == 0:
                usable(float(step_size))
        task.facts["learned_lr"] = learned = usable(float(step_size))  # noted too: a row shows it
        soft = self.distributions(targets).cpu() if self.soft else None
        return Images(images.detach().cpu(), classes, soft, learned)

    @abstractmethod
    def gradients(self, images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment) -> Gradients:
        """Of the matching loss on one segment."""

    def first_images(self, task: Task) -> Tensor:
        """What the images are at first, (N, C, S, S), class by class: real ones, drawn at random."""
        return start(task, "real").flatten(0, 1)

    def first_targets(self, task: Task, images: Tensor, classes: Tensor) -> Tensor:
        """What students are trained towards: the classes, int64 (N,), or what gives distributions, float32 (N, K)."""
        return classes

    def distributions(self, targets: Tensor) -> Tensor:
        """The distributions (N, K) of targets that are not classes."""
        return targets

    def rates(self, images: Tensor, step_size: Tensor, targets: Tensor) -> list[dict[str, Any]]:
        """What is learned, as groups of an optimiser, each with its rate."""
        return [{"params": [images], "lr": self.config.lr_img}, {"params": [step_size], "lr": self.config.lr_lr}]

    @property
    def kept(self) -> State:
        """What else a checkpoint holds."""
        return {}

    def step(self, sgd: SGD, loss: Tensor) -> None:
        """One update by the gradients that are set, of so much loss."""
        sgd.step()

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
        wanted = {"of_weights": self.of_weights, "of_targets": self.of_targets}
        if not self.stepwise:
            return PlainDerivatives(student, **wanted)
        batch, steps = config.batch(task.classes * task.ipc), config.iterations * config.steps
        return FastDerivatives(student, task, batch=batch, soft=self.soft, steps=steps, **wanted)


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
