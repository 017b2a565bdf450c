"""TESLA as a condenser, and its gradients. What is followed where paper and code differ: see the package.

The loss is MTT's: ||w_N - target||² / D with D = ||start - target||² and w_N = start - eta (g_0 + ... + g_(N-1)). Its
gradient is taken as if the weights at which each g_i is computed were constants: a first pass sums up the g_i, and then

    dL/dx_i = 2 / D (eta (target - start) + eta² sum_k g_k) . dg_i/dx_i

needs the graph of one step alone (equations 5 to 8). The second pass makes the same steps again, so that memory holds
no more for many of them than for one.
"""

from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.condensation import Images, MethodConfig, Task
from bench.labels import HardLabels, Labels, SoftLabels
from bench.recipes import Recipe, RecipeBook, Setting
from bench_matching.reals import normalised
from bench_matching.segments import Segment, TrajectoryConfig
from bench_matching.student import Derivatives, Student, logits_of
from bench_matching.trajectories import Gradients, TrajectoryMatcher

_HERE = Path(__file__).parent
RECIPES = RecipeBook.load(_HERE / "mtt.toml", _HERE / "tesla.toml")


class TESLAConfig(TrajectoryConfig):
    """See `TrajectoryConfig`.

    Attributes:
        half_gradient: the pixels' gradient without its factor 2, as in the released code, to whose rates it belongs.
        labels: "hard", or "expert": the softmax of the logits that the expert gives at the target of each segment.
    """

    half_gradient: bool = True
    labels: Literal["hard", "expert"] = "hard"


class TESLA(TrajectoryMatcher[TESLAConfig]):
    """MTT's matching in constant memory, and labels by the experts.

    One iteration is one update of all images, over `steps` inner steps of a student.
    """

    Config: ClassVar[type[MethodConfig]] = TESLAConfig
    of_weights: ClassVar[bool] = False

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """The released settings, and MTT's where there are none."""
        return RECIPES.pick(setting)

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """The set's own labels, DSA, and the learned step size as learning rate."""
        return "tesla"

    def prepare_labels(self, task: Task) -> Task:
        """The experts too, where they label."""
        return self.prepare(task) if self.soft else super().prepare_labels(task)

    @property
    def label_kind(self) -> str:
        """A distribution an image where the experts label."""
        return (SoftLabels if self.soft else HardLabels).kind

    @property
    def soft(self) -> bool:
        """Whether the experts label."""
        return self.config.labels == "expert"

    def gradients(self, images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment) -> Gradients:
        """By two passes."""
        factor = 1.0 if self.config.half_gradient else 2.0
        return two_passes(self.derivatives, images, targets, step_size, segment, factor)

    def first_targets(self, task: Task, images: Tensor, classes: Tensor) -> Tensor:
        """Room for the experts' labels, or the classes."""
        if not self.soft:
            return classes
        return torch.full((len(classes), task.classes), 1 / task.classes, device=classes.device)

    def retarget(self, targets: Tensor, images: Tensor, segment: Segment) -> None:
        """Labels the images as they are now by the segment's target."""
        if self.soft:
            targets.copy_(expert_labels(self.derivatives.student, segment.target, images))

    def label(self, task: Task, images: Images) -> Labels:
        """The labels of the last update. Images of others are labelled by the first expert, at its last target."""
        if not self.soft:
            return HardLabels()
        if images.soft is not None:
            return SoftLabels(images.soft)
        (weights,) = self._experts.weights(0, [self.config.last_target])
        return SoftLabels(expert_labels(self.student(task), weights.to(task.device), normalised(task, images)).cpu())


def expert_labels(student: Student, weights: Tensor, images: Tensor) -> Tensor:
    """softmax of the logits: float32 (N, K)."""
    return logits_of(student, weights, images).softmax(1)


def two_passes(
    derivatives: Derivatives, images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment, factor: float
) -> Gradients:
    """TESLA's gradients, with `factor` for the 2 before the pixels' one."""
    distance, weights, total = segment.distance(), segment.start, torch.zeros_like(segment.start)
    for step in segment.steps:
        gradient = derivatives.gradient(weights, step.seen(images), targets[step.indices])
        total += gradient
        weights = weights - step_size * gradient
    gap = segment.start - step_size * total - segment.target
    direction, by_images, weights = -factor * step_size * gap / distance, torch.zeros_like(images), segment.start
    for step in segment.steps:
        found = derivatives.along(weights, step.seen(images), targets[step.indices], direction)
        step.pull_back(images, found.images, by_images)
        weights = weights - step_size * found.gradient
    return Gradients(by_images, -2 * (gap @ total) / distance, gap.square().sum() / distance)
