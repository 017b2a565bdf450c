"""The exact gradients of trajectory matching, in two ways: what MTT and DATM share.

With a student's weights w_0 = start and w_(i+1) = w_i - eta g_i, where g_i is the gradient of the cross-entropy on the
batch of step i, the loss is ||w_N - target||² / ||start - target||² (MTT's algorithm 1), of which the derivatives by
the images, by eta and, where they are learned, by the targets are wanted.
"""

from typing import TypeVar

import torch
from torch import Tensor

from bench_matching.segments import Segment, TrajectoryConfig
from bench_matching.student import Derivatives, Student
from bench_matching.trajectories import Gradients, TrajectoryMatcher


class ExactConfig(TrajectoryConfig):
    """See `TrajectoryConfig`.

    Attributes:
        checkpointing: of the fast engine: the graph of a student's step is made again when it is needed, and then given
            up, so that memory holds one at a time; the gradients are the same. False keeps the graphs of all steps, as
            the reference does: tens of GB at 64 pixels.
    """

    checkpointing: bool = True


E = TypeVar("E", bound=ExactConfig)


class ExactMatcher(TrajectoryMatcher[E]):
    """Matches by the loss's own gradients."""

    @property
    def stepwise(self) -> bool:
        """Where steps are made again; the graph of all of them at once needs none of their own."""
        return super().stepwise and self.config.checkpointing

    def gradients(self, images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment) -> Gradients:
        """Of the loss by the images, the step size and, where they are learned, the targets."""
        if self.stepwise:
            return swept(self.derivatives, images, targets, step_size, segment)
        student = self.derivatives.student
        return unrolled(student, images, targets, step_size, segment, of_targets=self.of_targets)


def unrolled(
    student: Student, images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment, *, of_targets: bool = False
) -> Gradients:
    """By autograd through all steps at once: memory grows with their number."""
    pixels, rate = images.detach().requires_grad_(), step_size.detach().requires_grad_()
    goals, weights = targets.detach().requires_grad_(of_targets), segment.start.detach().requires_grad_()
    for step in segment.steps:
        loss = student.loss(weights, step.seen(pixels), goals[step.indices])
        (gradient,) = torch.autograd.grad(loss, [weights], create_graph=True)
        weights = weights - rate * gradient
    mismatch = (weights - segment.target).square().sum() / segment.distance()
    wanted = [pixels, rate, goals] if of_targets else [pixels, rate]
    by_images, by_rate, *by_targets = torch.autograd.grad(mismatch, wanted)
    return Gradients(by_images, by_rate, mismatch.detach(), *by_targets)


def swept(derivatives: Derivatives, images: Tensor, targets: Tensor, step_size: Tensor, segment: Segment) -> Gradients:
    """The same, the steps from the last to the first, each with a graph of its own: reverse accumulation by hand.

    With p the derivative of the loss by w_(i+1), that by the batch of step i is -eta d(p . g_i)/dx_i, likewise that by
    its targets, that by eta gains -p . g_i, and that by w_i is p - eta d(p . g_i)/dw_i. Of all steps only the weights
    are kept.
    """
    weights = [segment.start]
    for step in segment.steps:
        gradient = derivatives.gradient(weights[-1], step.seen(images), targets[step.indices])
        weights.append(weights[-1] - step_size * gradient)
    gap, distance = weights.pop() - segment.target, segment.distance()
    pull, loss = 2 * gap / distance, gap.square().sum() / distance
    by_images, by_rate = torch.zeros_like(images), torch.zeros_like(step_size)
    by_targets = torch.zeros_like(targets) if derivatives.of_targets else None
    for step in reversed(segment.steps):
        found = derivatives.along(weights.pop(), step.seen(images), targets[step.indices], pull)
        assert found.weights is not None
        step.pull_back(images, -step_size * found.images, by_images)
        if by_targets is not None and found.targets is not None:
            by_targets[step.indices] -= step_size * found.targets
        by_rate -= pull @ found.gradient
        pull = pull - step_size * found.weights
    return Gradients(by_images, by_rate, loss, by_targets)
