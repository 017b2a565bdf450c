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
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench import seeds
from bench.condensation import Task
from bench.loops.checkpoints import State
from bench.recovery.batches import Batch as Batch
from bench.recovery.batches import Phase, joins_of, phases_of, shape_of, shares_of
from bench.recovery.batches import initial_images as initial_images
from bench.recovery.canvas import at_side, resized, spread
from bench.recovery.curves import LossCurve
from bench.recovery.pool import Member
from bench.recovery.real import class_goals
from bench.recovery.recipes import MatchingRecipe, RecoveryRecipe
from bench.recovery.terms import of_images, terms_of

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
    def gradient(self, task: Task, batches: Sequence[Batch]) -> "Gradient":
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

    def _gradient_of_all(self, task: Task, batches: Sequence[Batch]) -> "Gradient | _Joining":
        joins = joins_of(batches)
        if joins is None:
            return self.gradient(task, batches)
        by_phase = [(phase, [batch.only(phase.places) for batch in batches]) for phase in phases_of(joins)]
        return _Joining([(phase, self.gradient(task, some)) for phase, some in by_phase])

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


class Gradient(ABC):
    """(images, iteration) -> gradient of each batch's loss under its view of that iteration; you must write `_by`.

    Images and gradient are float32 (G, B, C, H, W), one group a batch. Iterations are called for in order: what is
    remembered of earlier ones is in `state`.
    """

    def __init__(self, engine: Engine, task: Task, batches: Sequence[Batch]) -> None:
        self.pool, self.recipe, self.batches = engine.pool, engine.recipe, batches
        self._drops = [task.seed_for("left out", place) for place in range(len(self.pool))]
        self._kinds = [[layer.kind for layer in member.layers(self.recipe)] for member in self.pool]
        self.targets = torch.stack([batch.targets for batch in batches]).to(task.device)
        self.class_goals = [class_goals(task, member, batches, self.recipe) for member in self.pool]
        self.memories: list[Tensor] = []
        if self.recipe.smoothing:
            self.memories = [member.start_of_memory(len(batches), task.device) for member in self.pool]
        self.average = torch.zeros(shape_of(task, batches), device=task.device) if self.recipe.flatness else None
        self.shares = shares_of(batches, task.device)
        self._by_term: list[Tensor] = []  # of an iteration, by network
        self._alone: list[Tensor] = []

    @property
    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps of it."""
        memories = {f"statistics {place}": memory for place, memory in enumerate(self.memories)}
        return memories if self.average is None else {**memories, "average": self.average}

    def __call__(self, images: Tensor, iteration: int) -> Tensor:
        """The gradient; `state` is then that after the iteration, `by_term` what the loss in it was."""
        self._by_term.clear()
        if self.average is not None and iteration == 0:
            self.average.copy_(images.detach())
        gradient = self._by_networks(images, iteration)
        if self.recipe.of_images:
            gradient = gradient + self._of_images(images, iteration)
        if self.average is not None:
            self.average.lerp_(images.detach(), 1 - self.recipe.flatness_decay)
        return gradient

    def by_term(self) -> Tensor:
        """(T,): what each term added to the loss in the last iteration, the mean over batches and its networks."""
        found = torch.stack(self._by_term).mean((0, 2))
        return torch.cat([found, *self._alone])

    def _by_networks(self, images: Tensor, iteration: int) -> Tensor:
        if self.shares is not None:
            each = [share * self._through(place, images, iteration) for place, share in self.shares.items()]
            return torch.stack(each).sum(0)
        turns = self._turns(iteration)
        gradient = self._through(turns[0], images, iteration)
        for place in turns[1:]:
            gradient = gradient + self._through(place, images, iteration)
        return gradient / len(turns) if len(turns) > 1 else gradient

    def _through(self, place: int, images: Tensor, iteration: int) -> Tensor:
        gradient, by_term = self._by(place, images, iteration)
        self._by_term.append(by_term)
        return gradient

    @abstractmethod
    def _by(self, place: int, images: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        """The gradient by one network of the pool, whose memory is updated, and the loss by term, (T, G)."""

    @abstractmethod
    def _seen(self, images: Tensor, iteration: int) -> Tensor:
        """(G, B, C, H, W) as networks see them in an iteration."""

    def _turns(self, iteration: int) -> range:
        """The places of the networks that an iteration takes: one, in turn, or all."""
        if self.recipe.networks == "all":
            return range(len(self.pool))
        place = iteration % len(self.pool)
        return range(place, place + 1)

    def keep(self, iteration: int) -> float:
        """How much of its memory a network keeps in an iteration: nothing in its first, unless it begins at zero."""
        first = self._is_first(iteration) and "zero-start" not in self.recipe.as_released
        return 0.0 if first else self.recipe.smoothing

    def left_out(self, place: int, iteration: int) -> frozenset[int]:
        """The convolutions of a network that an iteration leaves out, of all batches the same.

        In a network's first iteration it is none, so that what is remembered begins for every layer.
        """
        if not self.recipe.drop or self._is_first(iteration):
            return frozenset()
        kinds = self._kinds[place]
        draws = seeds.counter(self._drops[place], iteration).random(len(kinds))
        return frozenset(at for at, kind in enumerate(kinds) if kind == "convolution" and draws[at] < self.recipe.drop)

    def _is_first(self, iteration: int) -> bool:
        at_once = self.recipe.networks == "all" or self.shares is not None
        return iteration < (1 if at_once else len(self.pool))

    def _of_images(self, images: Tensor, iteration: int) -> Tensor:
        leaf = images.detach().requires_grad_()
        pairs = zip(self._seen(leaf, iteration), self.batches, strict=True)
        losses = [of_images(each, batch.targets, self.recipe) for each, batch in pairs]
        each = torch.stack([loss for loss in losses if loss is not None])
        self._alone = [each.detach().mean()[None]]
        return torch.autograd.grad(each.sum(), [leaf])[0]


class _Joining:
    """The gradient where images join later: in each phase that of those which are there, 0 for the others.

    What is remembered of earlier iterations belongs to all images of a batch, so nothing may be.

    Raises:
        ValueError: something is.
    """

    state: ClassVar[dict[str, Tensor]] = {}

    def __init__(self, phases: Sequence[tuple[Phase, Gradient]]) -> None:
        if any(gradient.state for _, gradient in phases):
            raise ValueError("where images join later, neither smoothed statistics nor flatness can be had")
        self._phases = phases
        self._last = phases[0][1]

    def by_term(self) -> Tensor:
        """As `Gradient.by_term`, of the images that were there."""
        return self._last.by_term()

    def __call__(self, images: Tensor, iteration: int) -> Tensor:
        """(G, B, C, H, W), of the same."""
        phase, self._last = next(each for each in reversed(self._phases) if each[0].begin <= iteration)
        there, found = list(phase.places), torch.zeros_like(images)
        found[:, there] = self._last(images[:, there], iteration)
        return found


def rate(recipe: RecoveryRecipe, iteration: int) -> float:
    """Adam's rate at an iteration: half a cosine from `lr` to 0."""
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * iteration / recipe.iterations))
