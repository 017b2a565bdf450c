"""DATM as a condenser. What is followed where paper and code differ: see the package.

MTT's matching with segments whose start grows later with the images per class, and with the iterations; labels that are
learned with the images; and experts that are trained towards flat minima (FTD).
"""

from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import SGD

from bench.condensation import DOUBT, Images, MethodConfig, Task, Unit
from bench.errors import UsageError
from bench.labels import Labels, SoftLabels
from bench.loops.checkpoints import State
from bench.recipes import Recipe, RecipeBook, Setting
from bench_matching.exact import ExactConfig, ExactMatcher
from bench_matching.panel import Panel
from bench_matching.reals import normalised
from bench_matching.segments import Positive, Segment
from bench_matching.trajectories import Gradients

RECIPES = RecipeBook.load(Path(__file__).with_name("datm.toml"))
BUFFER = "momentum_buffer"  # what SGD calls it


class DATMConfig(ExactConfig):
    """See `ExactConfig`.

    Attributes:
        min_start_epoch: a segment starts after at least so many epochs.
        current_max_start_epoch, expansion_end: and at first after fewer than that many, which rises evenly until, after
            `expansion_end` iterations, it is max_start_epoch ("sequential generation"); without them it is at once.
        init: "recognised": real images that experts recognise, with the mean logits of those experts as first labels;
            or "real": any, with the logits of the first expert.
        lr_y, momentum_y: of SGD on the logits of the labels.
        threshold: an update whose loss is above is left out, its momentum too.
    """

    min_start_epoch: int = Field(default=0, ge=0)
    current_max_start_epoch: int | None = Field(default=None, ge=1)
    expansion_end: int = Field(default=1, ge=1)
    init: Literal["recognised", "real"] = "recognised"
    lr_y: float = Field(ge=0)
    momentum_y: float = Field(default=0.9, ge=0, lt=1)
    threshold: Positive = 1.0

    @property
    def last_epoch(self) -> int:
        """Experts are trained to their end: there they choose and label."""
        return self.experts.epochs

    def start_epochs(self, iteration: int) -> range:
        """Those that the expansion has come to."""
        first, last = self.current_max_start_epoch, self.max_start_epoch
        upper = last if first is None else min(last, first + (last - first) * iteration // self.expansion_end)
        return range(self.min_start_epoch, upper)


class DATM(ExactMatcher[DATMConfig]):
    """Matches stretches of trajectories that are as difficult as there are images for, and learns soft labels.

    One iteration is one update of all images and labels, over `steps` inner steps of a student.
    """

    version: ClassVar[int] = 1
    plain_arithmetic: ClassVar[bool] = True
    Config: ClassVar[type[MethodConfig]] = DATMConfig
    of_targets: ClassVar[bool] = True
    _left_out: Tensor

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """The released settings for the dataset and the images per class."""
        return RECIPES.pick(setting)

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """The learned labels, DSA, and the learned step size as learning rate."""
        return "datm"

    def check(self, setting: Setting) -> None:
        """Refuses what the others do, and starts between which there is nothing."""
        super().check(setting)
        config, growing = self.config, self.config.current_max_start_epoch is not None
        name = "current_max_start_epoch" if growing else "max_start_epoch"
        first: int = getattr(config, name)
        if config.min_start_epoch >= first:
            raise UsageError(f"min_start_epoch {config.min_start_epoch} must be below {name}, which is {first}")
        if first > config.max_start_epoch:
            raise UsageError(f"{name} {first} must not be above max_start_epoch, which is {config.max_start_epoch}")

    def prepare_labels(self, task: Task) -> Task:
        """The experts too, which label."""
        return self.prepare(task)

    @property
    def label_kind(self) -> str:
        """A distribution an image."""
        return SoftLabels.kind

    @property
    def soft(self) -> bool:
        """Always: labels are learned."""
        return True

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """As of all. How many updates were left out is noted, and said where all were."""
        self._left_out = torch.zeros((), dtype=torch.int64, device=task.device)
        images = super().synthesize(task, unit)
        task.facts["updates_left_out"] = left_out = int(self._left_out)
        if left_out == self.config.iterations:
            task.facts[DOUBT] = f"the loss of every update was above threshold={self.config.threshold}: nothing moved"
        return images

    @property
    def kept(self) -> State:
        """How many updates were left out."""
        return {"left out": self._left_out}

    def first_images(self, task: Task) -> Tensor:
        """As `init` says. How many of them no expert recognises is noted, and said where there are some."""
        if self.config.init == "real":
            return super().first_images(task)
        images, unknown = self._panel(task).recognised()
        task.facts["unrecognised"] = unknown
        if unknown:
            task.progress.warn(f"{unknown} of the {len(images)} images to begin with are recognised by no expert")
        return images

    def first_targets(self, task: Task, images: Tensor, classes: Tensor) -> Tensor:
        """Logits, whose softmax students are trained towards."""
        panel = self._panel(task)
        return panel.first_logits(images, classes) if self.config.init == "recognised" else panel.logits(0, images)

    def distributions(self, targets: Tensor) -> Tensor:
        """Their softmax."""
        return targets.softmax(1)

    def rates(self, images: Tensor, step_size: Tensor, targets: Tensor) -> list[dict[str, Any]]:
        """The logits are learned, too."""
        labels = {"params": [targets], "lr": self.config.lr_y, "momentum": self.config.momentum_y}
        return [*super().rates(images, step_size, targets), labels]

    def gradients(self, images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment) -> Gradients:
        """Of the loss by the images, the step size and the logits."""
        logits = targets.detach().requires_grad_()
        labels = self.distributions(logits)
        found = super().gradients(images, labels.detach(), step_size, segment)
        (by_logits,) = torch.autograd.grad(labels, [logits], found.targets)
        return found._replace(targets=by_logits)

    def step(self, sgd: SGD, loss: Tensor) -> None:
        """One update, or none where the loss is above the threshold, or none at all."""
        counts = loss <= self.config.threshold  # NaN is not
        step_where(sgd, counts)
        self._left_out += ~counts

    def label(self, task: Task, images: Images) -> Labels:
        """Those that were learned. Images of others get what learning would begin with."""
        if images.soft is not None:
            return SoftLabels(images.soft)
        logits = self.first_targets(task, normalised(task, images), images.classes.to(task.device))
        return SoftLabels(self.distributions(logits).cpu())

    def _panel(self, task: Task) -> Panel:
        return Panel(task, self.student(task), self._experts, self.config.last_epoch)


def step_where(sgd: SGD, counts: Tensor) -> None:
    """One step of SGD with momentum, where a scalar on its device is true; elsewhere weights and momentum stay.

    Nothing waits for the device. Momentum that begins at 0 is what SGD's own is after its first step.
    """
    weights = [weight for group in sgd.param_groups for weight in group["params"]]
    for weight in weights:
        if BUFFER not in sgd.state[weight]:
            sgd.state[weight][BUFFER] = torch.zeros_like(weight)
    moving = [*weights, *(sgd.state[weight][BUFFER] for weight in weights)]
    before = [tensor.clone() for tensor in moving]
    sgd.step()
    for tensor, value in zip(moving, before, strict=True):
        tensor.copy_(torch.where(counts, tensor, value))
