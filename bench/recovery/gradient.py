"""The gradient of a recovery's loss in an iteration, by one network of the pool or by several."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from bench import seeds
from bench.condensation import Task
from bench.recovery.batches import Batch, Phase, shape_of, shares_of
from bench.recovery.pool import Member
from bench.recovery.real import class_goals
from bench.recovery.recipes import MatchingRecipe
from bench.recovery.terms import of_images


class Gradient(ABC):
    """(images, iteration) -> gradient of each batch's loss under its view of that iteration; you must write `_by`.

    Images and gradient are float32 (G, B, C, H, W), one group a batch. Iterations are called for in order: what is
    remembered of earlier ones is in `state`.
    """

    def __init__(self, pool: Sequence[Member], recipe: MatchingRecipe, task: Task, batches: Sequence[Batch]) -> None:
        self.pool, self.recipe, self.batches = pool, recipe, batches
        self._drops = [task.seed_for("left out", place) for place in range(len(self.pool))]
        self._kinds = [[layer.kind for layer in member.layers(self.recipe)] for member in self.pool]
        self.targets = torch.stack([batch.targets for batch in batches]).to(task.device)
        self.class_goals = [class_goals(task, member, batches, self.recipe) for member in self.pool]
        self.memories: list[Tensor] = []
        if self.recipe.smoothing:
            self.memories = [member.start_of_memory(len(batches), task.device) for member in self.pool]
        self.average = torch.zeros(shape_of(task, batches), device=task.device) if self.recipe.flatness else None
        self.shares = shares_of(batches, task.device)
        self._by_term: list[Tensor] = []  # (T, G) of an iteration, by network
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
        """(T,): what each term added to the loss in the last iteration, the mean over batches.

        Networks count in it as in the gradient: each by its share, or all alike.
        """
        by_network = torch.stack(self._by_term).mean(2)
        found = by_network.mean(0) if self.shares is None else by_network.sum(0)
        return torch.cat([found, *self._alone])

    def _by_networks(self, images: Tensor, iteration: int) -> Tensor:
        if self.shares is not None:
            each = [self._through(place, images, iteration, share) for place, share in self.shares.items()]
            return torch.stack(each).sum(0)
        turns = self._turns(iteration)
        gradient = self._through(turns[0], images, iteration)
        for place in turns[1:]:
            gradient = gradient + self._through(place, images, iteration)
        return gradient / len(turns) if len(turns) > 1 else gradient

    def _through(self, place: int, images: Tensor, iteration: int, share: Tensor | None = None) -> Tensor:
        """The gradient by one network of the pool; it and the loss that is noted are the network's share of them."""
        gradient, by_term = self._by(place, images, iteration)
        self._by_term.append(by_term if share is None else share.flatten() * by_term)
        return gradient if share is None else share * gradient

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


class JoiningGradient:
    """The gradient where images join later: in each phase that of those which are there, 0 for the others.

    What is remembered of earlier iterations belongs to all images of a batch, so nothing may be.

    Raises:
        ValueError: something is.
    """

    state: ClassVar[dict[str, Tensor]] = {}

    def __init__(self, phases: Sequence[tuple[Phase, Gradient]]) -> None:
        if any(gradient.state for _, gradient in phases):
            raise ValueError("where images join later, neither smoothed statistics nor flatness can be had")
        self._phases = [
            (phase.begin, torch.tensor(phase.places, device=gradient.targets.device), gradient)
            for phase, gradient in phases
        ]
        self._last = phases[0][1]

    def by_term(self) -> Tensor:
        """As `Gradient.by_term`, of the images that were there."""
        return self._last.by_term()

    def __call__(self, images: Tensor, iteration: int) -> Tensor:
        """(G, B, C, H, W), of the same."""
        _, there, self._last = next(each for each in reversed(self._phases) if each[0] <= iteration)
        found = torch.zeros_like(images)
        found[:, there] = self._last(images[:, there], iteration)
        return found
