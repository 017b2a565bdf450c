"""What a recovery engine is, and the loop that all engines share.

An engine holds a pool of frozen networks and a recipe and recovers batches of images. All engines minimise the same
loss from the same start under the same views; they differ in how its gradient is computed.

BN matching ties the images of a batch to one another, so the batch is part of the method. Several batches may be
recovered at once all the same, where a device has room: their statistics, views and starts are kept apart, and each
comes out as if it were alone.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.condensation import Task
from bench.loops.checkpoints import State
from bench.recovery.batches import Batch as Batch
from bench.recovery.batches import initial_images as initial_images
from bench.recovery.batches import joins_of, phases_of
from bench.recovery.canvas import at_side, resized, spread
from bench.recovery.curves import LossCurve
from bench.recovery.gradient import Gradient as Gradient
from bench.recovery.gradient import JoiningGradient
from bench.recovery.pool import Member
from bench.recovery.recipes import MatchingRecipe, RecoveryRecipe
from bench.recovery.terms import terms_of

ADAM_BETAS = (0.5, 0.9)
ADAM_EPS = 1e-8

Shape = tuple[int, int]  # batches at once, images in each


class Engine(ABC):
    """Recovers images; you must write `gradient`.

    Args:
        pool: the networks, (B, C, H, W) -> logits (B, classes), or one. Are put into evaluation mode and frozen.
        recipe: how to recover.

    Raises:
        RunFailure: a network has no BatchNorm, or statistics are matched that were not measured on training data.
    """

    def __init__(self, pool: nn.Module | Sequence[Member], recipe: RecoveryRecipe) -> None:
        members = [Member(pool)] if isinstance(pool, nn.Module) else pool
        self.pool = [member.prepared() for member in members]
        self.recipe = MatchingRecipe.of(recipe)
        self.goals = [member.goals(self.recipe) for member in self.pool]

    def ready(self, task: Task, shapes: Iterable[Shape]) -> None:
        """Told of all that will be recovered, once for each call of `recover`, before the first is measured.

        Makes a gradient of each shape by each network, so that what first use costs (kernels, threads) is in no step
        and in no peak.
        """
        for groups, size in dict.fromkeys(shapes):
            batches = [self._batch(task, size)] * groups
            gradient, images = self.gradient(task, batches), initial_images(task, batches)
            for turn in range(len(self.pool)):
                gradient(images, turn)

    def _batch(self, task: Task, size: int) -> Batch:
        """A batch of that size whose images are none of the set's."""
        batch = Batch(torch.zeros(size, dtype=torch.int64), seed=0)
        return replace(batch, real=initial_images(task, [batch])[0].cpu()) if self.recipe.meets_real_images else batch

    @abstractmethod
    def gradient(self, task: Task, batches: Sequence[Batch]) -> Gradient:
        """What gives the gradient of each batch's loss under its view of an iteration."""

    def recover(self, task: Task, batches: Sequence[Batch]) -> Tensor:
        """One image for each target: float32 (G, B, C, H, W) in normalised space, inside the valid box.

        Args:
            task: gives the loop, the device, the precision and the valid box of pixels.
            batches: as many images in each.
        """
        images = initial_images(task, batches).requires_grad_()
        lower, upper = task.dataset.normalisation.box(images)
        adam = torch.optim.Adam([images], lr=self.recipe.lr, betas=ADAM_BETAS, eps=ADAM_EPS, fused=True)
        gradient = self._gradient_of_all(task, batches)
        curve = LossCurve(self.terms, self.recipe.iterations, task.device)
        state: State = {"images": images, "optimizer": adam, **gradient.state, "losses": curve.values}
        begins, resolution = self.recipe.stage_begins, images.shape[-1]
        start = images.detach().clone() if begins else images.detach()
        self._shrink(images, self.recipe.side(0, resolution))
        count, iterations, cycle = images.shape[0] * images.shape[1], self.recipe.iterations, self._cycle(batches)
        for iteration in task.iterations(iterations, images=count, state=state, what="recover", cycle=cycle):
            if iteration in begins:
                self._begin_stage(images, start, adam, iteration)
            adam.param_groups[0]["lr"] = rate(self.recipe, iteration)
            side = self.recipe.side(iteration, resolution)
            images.grad = spread(gradient(at_side(images.detach(), side), iteration), images)
            curve.keep(iteration, gradient)
            adam.step()
            with torch.no_grad():
                at_side(images, side).clamp_(lower, upper)
        task.losses.append(curve.ended())
        return images.detach()

    @property
    def terms(self) -> list[str]:
        """The names of the loss's terms; those of the images alone are one."""
        return [term.name for _, term in terms_of(self.recipe)] + ["images alone"] * self.recipe.of_images

    def _cycle(self, batches: Sequence[Batch]) -> int:
        """After how many iterations what one costs repeats itself: those in which each network has its turn."""
        in_turn = self.recipe.networks == "one" and all(batch.shares is None for batch in batches)
        return len(self.pool) if in_turn else 1

    def _gradient_of_all(self, task: Task, batches: Sequence[Batch]) -> Gradient | JoiningGradient:
        joins = joins_of(batches)
        if joins is None:
            return self.gradient(task, batches)
        by_phase = [(phase, [batch.only(phase.places) for batch in batches]) for phase in phases_of(joins)]
        return JoiningGradient([(phase, self.gradient(task, some)) for phase, some in by_phase])

    @torch.no_grad()
    def _shrink(self, images: Tensor, side: int) -> None:
        """To the size in which they are recovered at first."""
        if side != images.shape[-1]:
            at_side(images, side).copy_(resized(images.clone(), side))

    @torch.no_grad()
    def _begin_stage(self, images: Tensor, start: Tensor, adam: torch.optim.Adam, iteration: int) -> None:
        """Takes the images to their new size, mixes the start into them once more, and forgets the moments (FADRM)."""
        before, side = (self.recipe.side(each, images.shape[-1]) for each in (iteration - 1, iteration))
        now = resized(at_side(images, before), side).lerp(resized(start, side), 1 - self.recipe.residual)
        at_side(images, side).copy_(now)
        adam.state.clear()


def rate(recipe: RecoveryRecipe, iteration: int) -> float:
    """Adam's rate at an iteration: half a cosine from `lr` to 0."""
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * iteration / recipe.iterations))
