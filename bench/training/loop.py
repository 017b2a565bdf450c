"""The one training loop: squeezing a teacher and every evaluation go through it."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from bench import seeds
from bench.compiling import Workload, compiled_where_it_pays, example_images
from bench.condensation import Task
from bench.errors import RunFailure
from bench.hardware.memory_order import memory_order
from bench.loops.checkpoints import State
from bench.loops.passes import continued
from bench.training import optimizers, schedules
from bench.training.averaging import Ema
from bench.training.curves import Curve
from bench.training.feeding import Feed
from bench.training.recipes import TrainingRecipe
from bench.training.sharpness import Sharpness
from bench.training.students import StudentWithTeacher
from bench.training.supervision import Supervision
from bench.training.views import BatchView, Presented, Views

VERSION = 3  # raise it when the same recipe, seed and data would give other weights

SAVED = 0.2  # of a step, by compiling: a third to a half of a ConvNet's, next to nothing of a ResNet's on a processor
Forward = Callable[[Tensor], tuple[Tensor, Tensor | None]]
Drawing = Callable[[], AbstractContextManager[None]]  # in which layers draw what they draw in this step


@dataclass(frozen=True)
class TrainingJob:
    """What to train on and how.

    Attributes:
        recipe: the hyper-parameters.
        feed: the images.
        supervision: the targets.
        view_seed: seed of the views; with the recipe it decides every batch.
        checkpoint: file that a killed training continues from. Its name must tell this training from every other.
        what: the name shown beside the progress.
        after_epoch: called after every epoch with the number of epochs done (from 1) and the network as it then is; it
            changes nothing but what is in `keeps`.
        keeps: what `after_epoch` changes; it is part of the checkpoint.
        curve: what is kept of every epoch, and of the test split on the way.
        views: recorded ones, which are presented in place of those that recipe and seed would give.
    """

    recipe: TrainingRecipe
    feed: Feed
    supervision: Supervision
    view_seed: int
    checkpoint: Path
    what: str
    after_epoch: Callable[[int, nn.Module], None] | None = None
    keeps: State = field(default_factory=dict)
    curve: Curve | None = None
    views: Presented | None = None


def place(network: nn.Module, task: Task) -> nn.Module:
    """The network on the task's device, in its memory order."""
    order = memory_order(network, task.device, task.precision)
    return network.to(task.device, memory_format=order, non_blocking=True)  # type: ignore[call-overload,no-any-return]


def train(task: Task, network: nn.Module, job: TrainingJob) -> nn.Module:
    """Trains the network and returns what is to be tested: itself after the last epoch, or its moving average.

    Weights stay fp32; forward passes run in the task's arithmetic, losses and normalisation in fp32. Steps are compiled
    where that pays (`bench.compiling`). The training is checkpointed every `task.checkpoint_seconds`; on a
    CPU a continued one ends with the same weights, bit for bit. What layers draw (dropout, stochastic depth) is decided
    by the seed of the views and the step.

    Raises:
        Interrupted: the user asked to stop; the checkpoint is written first.
        RunFailure: the loss of an epoch is not finite, or a weight or a statistic at the end.
    """
    return _Training(task, place(network, task), job).run()


class _Training:
    """The state of one training."""

    def __init__(self, task: Task, network: nn.Module, job: TrainingJob) -> None:
        self.task, self.network, self.job = task, network.train(), job
        self.recipe, self.feed = job.recipe, job.feed
        if self.recipe.bn_updates > 1:
            move_as_often(network, self.recipe.bn_updates)
        resolution = task.dataset.resolution
        drawn = Views(self.recipe, job.view_seed, len(self.feed), resolution)
        self.views: Presented = job.views or drawn
        self.classroom = StudentWithTeacher(self.network, job.supervision.teacher, self._part())
        self.whole_batches: Forward = self.classroom
        self.optimizer: Optimizer = optimizers.build(self.recipe, self.network)
        self.sharpness = Sharpness.of(self.recipe)
        self.ema = _average(self.recipe, self.network)
        self.losses = torch.zeros((), device=task.device)

    def _part(self) -> int | None:
        """How many images the student sees at once, where that is not the whole batch."""
        parts = self.recipe.accumulation
        return -(-self.views.batch_size // parts) if parts > 1 else None

    @property
    def state(self) -> State:
        """What a checkpoint holds."""
        averaged = {"ema": self.ema.network} if self.ema else {}
        kept = {f"kept {name}": part for name, part in self.job.keeps.items()}
        curve = self.job.curve.state if self.job.curve else {}
        moved: State = {"network": self.network, "optimizer": self.optimizer, "losses": self.losses, **averaged}
        return {**moved, **curve, **kept}

    @property
    def trained(self) -> nn.Module:
        """What is tested."""
        return self.ema.network if self.ema else self.network

    def run(self) -> nn.Module:
        count = self.recipe.epochs * self.views.batches
        self.compile(2 * count if self.sharpness else count)
        steps = continued(self.task, self.job.what, count, self.job.checkpoint, self.state)
        optimizers.match_layout(self.optimizer)
        for step in steps:
            self._step(*divmod(step, self.views.batches))
        check_finite(self.trained, self.job.what)
        self.job.checkpoint.unlink(missing_ok=True)
        return self.trained.eval()

    def _step(self, epoch: int, batch: int) -> None:
        if batch == 0:
            self._begin(epoch)
        position = epoch + batch / self.views.batches if self.recipe.every_step else epoch
        optimizers.set_rate(self.optimizer, self.recipe.lr * schedules.multiplier(self.recipe, position))
        drawing = partial(seeds.layers_draw, self.task.device, "layers", self.job.view_seed, epoch, batch)
        with drawing():
            self._update(self.views.at(epoch, batch), drawing)
        if batch == self.views.batches - 1:
            self._end(epoch)

    def _begin(self, epoch: int) -> None:
        self.losses.zero_()
        if schedules.resets_momentum(self.recipe, epoch):
            self.optimizer.state.clear()

    def _update(self, view: BatchView, drawing: Drawing) -> None:
        images, classes = self.feed.seen(view), self.feed.labels(view.indices)
        loss = self._loss(view, images, classes, counts=True)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if self.sharpness:
            with drawing():
                self.sharpness.redirect(self.network, lambda: self._loss(view, images, classes, counts=False))
        self.optimizer.step()
        self.losses += loss.detach()
        if self.ema:
            self.ema.update(self.network)

    def _loss(self, view: BatchView, images: Tensor, classes: Tensor, *, counts: bool) -> Tensor:
        """The loss of a batch, which the curve counts once however often it is seen."""
        forward = self.whole_batches if len(view) == self.views.batch_size else self.classroom  # compiled for one shape
        with self.task.autocast():
            logits, answers = forward(images)
        if self.job.curve and counts:
            self.job.curve.count(logits, classes)
        return self.job.supervision.loss(logits, answers, view, classes)

    def compile(self, steps: int) -> None:
        """Compiles the networks for whole batches, where so many steps pay for that."""
        images = example_images(self.task, self.views.batch_size)

        def step(forward: Forward) -> None:
            with self.task.autocast():
                logits, _ = forward(images)
            torch.autograd.backward(logits.square().mean())

        work = Workload(self.job.what, self.classroom, tuple(images.shape), steps, SAVED)
        with _untouched(self.network):
            self.whole_batches = compiled_where_it_pays(self.task, work, self.whole_batches, step)

    def _end(self, epoch: int) -> None:
        """Looks at the loss once an epoch, because reading it waits for the device."""
        if not math.isfinite(loss := float(self.losses)):
            raise RunFailure(f"the loss of {self.job.what} is not finite in epoch {epoch + 1}")
        if self.job.curve:
            self.job.curve.end(epoch, loss / self.views.batches, self.trained)
        if self.job.after_epoch:
            self.job.after_epoch(epoch + 1, self.network)


def _average(recipe: TrainingRecipe, network: nn.Module) -> Ema | None:
    if recipe.ema is None:
        return None
    return Ema(network, recipe.ema, live_buffers=recipe.ema_buffers == "live")


def check_finite(network: nn.Module, what: str) -> None:
    """No loss is looked at after the last step; and what BatchNorm's statistics became, no loss of a training shows.

    Raises:
        RunFailure: a weight or a statistic of the network is not finite.
    """
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise RunFailure(f"{what} diverged: {name} of the network holds NaN or infinity; a smaller lr may help")


@contextmanager
def _untouched(network: nn.Module) -> Iterator[None]:
    """Within the context steps may be tried: what they do to BatchNorm's statistics and gradients is undone."""
    before = [buffer.clone() for buffer in network.buffers()]
    devices = {buffer.device for buffer in network.buffers() if buffer.device.type == "cuda"}
    try:
        with torch.random.fork_rng(devices=devices):  # a dropout draws
            yield
    finally:
        for buffer, value in zip(network.buffers(), before, strict=True):
            buffer.copy_(value)
        network.zero_grad(set_to_none=True)


def move_as_often(network: nn.Module, times: float) -> None:
    """BatchNorm's running statistics will move as if every batch came so many times: r + (1 - (1 - m)^times)(s - r)."""
    for module in network.modules():
        if isinstance(module, _BatchNorm) and module.momentum is not None:
            module.momentum = 1 - (1 - module.momentum) ** times
