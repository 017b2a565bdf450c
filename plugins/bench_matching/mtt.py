"""MTT as a condenser, and its gradients in two ways. What is followed where paper and code differ: see the package.

With a student's weights w_0 = start and w_(i+1) = w_i - eta g_i, where g_i is the gradient of the cross-entropy on the
batch of step i, MTT minimises ||w_N - target||² / ||start - target||² over the images and eta (algorithm 1).
"""

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from bench.condensation import MethodConfig
from bench.recipes import Recipe, RecipeBook, Setting
from bench_matching.student import Derivatives, Student
from bench_matching.trajectories import Gradients, Segment, TrajectoryConfig, TrajectoryMatcher

RECIPES = RecipeBook.load(Path(__file__).with_name("mtt.toml"))


class MTTConfig(TrajectoryConfig):
    """See `TrajectoryConfig`.

    Attributes:
        checkpointing: of the fast engine: the graph of a student's step is made again when it is needed, and then given
            up, so that memory holds one at a time; the gradients are the same. False keeps the graphs of all steps, as
            the reference does: tens of GB at 64 pixels.
    """

    checkpointing: bool = True


class MTT(TrajectoryMatcher[MTTConfig]):
    """Matches the weights that students reach on synthetic images to those that experts reach on real ones.

    One iteration is one update of all images, over `steps` inner steps of a student.
    """

    Config: ClassVar[type[MethodConfig]] = MTTConfig

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """The paper's hyper-parameters for the dataset and the images per class."""
        return RECIPES.pick(setting)

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """Hard labels, DSA, and the learned step size as learning rate."""
        return "mtt"

    @property
    def stepwise(self) -> bool:
        """Where steps are made again; the graph of all of them at once needs none of their own."""
        return super().stepwise and self.config.checkpointing

    def gradients(self, images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment) -> Gradients:
        """Of the loss by the images and the step size, exact."""
        if self.stepwise:
            return swept(self.derivatives, images, targets, step_size, segment)
        return unrolled(self.derivatives.student, images, targets, step_size, segment)


def unrolled(student: Student, images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment) -> Gradients:
    """By autograd through all steps at once: memory grows with their number."""
    pixels, rate = images.detach().requires_grad_(), step_size.detach().requires_grad_()
    weights = segment.start.detach().requires_grad_()
    for step in segment.steps:
        loss = student.loss(weights, step.seen(pixels), targets[step.indices])
        (gradient,) = torch.autograd.grad(loss, [weights], create_graph=True)
        weights = weights - rate * gradient
    mismatch = (weights - segment.target).square().sum() / segment.distance()
    by_images, by_rate = torch.autograd.grad(mismatch, [pixels, rate])
    return by_images, by_rate


def swept(derivatives: Derivatives, images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment) -> Gradients:
    """The same, the steps from the last to the first, each with a graph of its own: reverse accumulation by hand.

    With p the derivative of the loss by w_(i+1), that by the batch of step i is -eta d(p . g_i)/dx_i, that by eta gains
    -p . g_i, and that by w_i is p - eta d(p . g_i)/dw_i. Of all steps only the weights are kept.
    """
    weights = [segment.start]
    for step in segment.steps:
        gradient = derivatives.gradient(weights[-1], step.seen(images), targets[step.indices])
        weights.append(weights[-1] - step_size * gradient)
    pull = 2 * (weights.pop() - segment.target) / segment.distance()
    by_images, by_rate = torch.zeros_like(images), torch.zeros_like(step_size)
    for step in reversed(segment.steps):
        found = derivatives.along(weights.pop(), step.seen(images), targets[step.indices], pull)
        assert found.weights is not None
        step.pull_back(images, -step_size * found.images, by_images)
        by_rate -= pull @ found.gradient
        pull = pull - step_size * found.weights
    return by_images, by_rate
