"""The recovery loss as it stands in the paper, written to be read and to check faster engines against.

SRe2L equation (5), with equation (7) for its regulariser:

    L(x) = CE(network(view(x)), y) + bn_weight * R_BN(view(x))

and for its descendants a longer sum of terms (`bench.recovery.terms`) over a pool of networks. It is minimised over the
images by Adam (betas 0.5 and 0.9, eps 1e-8; Tables 7c, 7d and 10b), its rate falling along a cosine to 0 without
warm-up, the images clamped to valid pixels after every step (code). The networks are frozen in evaluation mode.

Arithmetic: in fp32 all of it. In bf16 the forward and backward passes run under autocast; the statistics, their
distances, the cross-entropy, the images and Adam stay fp32. That is not neutral: what is measured is the statistics of
activations already rounded to bf16. On a ResNet-18 at 64 pixels the loss moved by 3e-5 to 1.2e-4 of
itself and its gradient kept a cosine of 0.9998 or more, early in a recovery; what it does to scores was not measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bench.condensation import Task
from bench.recovery.engine import Batch, Engine, Gradient
from bench.recovery.layers import ByLayer, Measured, laid_out, watched
from bench.recovery.pool import Member
from bench.recovery.recipes import RecoveryRecipe
from bench.recovery.smoothing import smoothed
from bench.recovery.terms import Observed, terms_of, weighed
from bench.recovery.views import RecoveryView, draw_view


@dataclass(frozen=True)
class Circumstances:
    """What a loss depends on beside images, classes and view.

    Attributes:
        place: of the network in the pool.
        class_goals: of the batch, by layer, (1, n) each; empty where they do not count.
        average: (B, C, H, W), the images' moving average, or None.
        memory: of earlier batches' statistics, by layer, (1, n) each, or None; and `keep`, how much of it stays.
        left_out: the places of layers that are not measured.
    """

    place: int = 0
    class_goals: ByLayer = field(default_factory=dict)
    average: Tensor | None = None
    memory: ByLayer | None = None
    keep: float = 0.0
    left_out: frozenset[int] = frozenset()


class ReferenceEngine(Engine):
    """The plain engine: batches one after the other, the loss as it is written."""

    def __init__(self, pool: nn.Module | Sequence[Member], recipe: RecoveryRecipe) -> None:
        super().__init__(pool, recipe)
        self._terms = terms_of(self.recipe)
        self._layers = [member.layers(self.recipe) for member in self.pool]

    def gradient(self, task: Task, batches: Sequence[Batch]) -> Gradient:
        return _ReferenceGradient(self, task, batches)

    def loss(
        self, images: Tensor, targets: Tensor, view: RecoveryView, under: Circumstances = Circumstances()
    ) -> Tensor:
        """L of images (B, C, H, W) in normalised space and their classes (B,) under a view: a scalar."""
        return self.observed_loss(images, targets, view, under)[0]

    def observed_loss(
        self, images: Tensor, targets: Tensor, view: RecoveryView, under: Circumstances
    ) -> tuple[Tensor, ByLayer, Tensor]:
        """The same, what is to be remembered of the statistics, and the loss by term, (T, 1)."""
        network = self.pool[under.place].network
        with watched(self._layers[under.place], self.recipe.patch, under.left_out) as found:
            logits = network(view.of(images))
        statistics: dict[int, Measured] = {at: tuple(each[None] for each in found[at]) for at in found}
        remembered: ByLayer = {}
        if under.memory is not None:
            statistics, remembered = smoothed(statistics, under.memory, under.keep)
        observed = Observed(
            targets=targets[None],
            logits=_precise(logits)[None],
            statistics=statistics,
            goals=dict(self.goals[under.place]),
            class_goals=under.class_goals,
            average_logits=None if under.average is None else self._logits(under, view)[None],
        )
        by_term = weighed(self._terms, observed)
        return by_term.sum(), remembered, by_term.detach()

    @torch.no_grad()
    def _logits(self, under: Circumstances, view: RecoveryView) -> Tensor:
        assert under.average is not None
        return _precise(self.pool[under.place].network(view.of(under.average)))


class _ReferenceGradient(Gradient):
    def __init__(self, engine: ReferenceEngine, task: Task, batches: Sequence[Batch]) -> None:
        super().__init__(engine.pool, engine.recipe, task, batches)
        self._engine, self._task = engine, task

    def _by(self, place: int, images: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        gradients, by_term = list[Tensor](), list[Tensor]()
        for group, _ in enumerate(self.batches):
            leaf = images[group].detach().requires_grad_()
            view, under = self._view(images, group, iteration), self._circumstances(place, group, iteration)
            with self._task.autocast():
                loss, remembered, terms = self._engine.observed_loss(leaf, self.targets[group], view, under)
            by_term.append(terms)
            gradients += torch.autograd.grad(loss, [leaf])
            if remembered:
                self.memories[place][group] = laid_out(remembered)[0]
        return torch.stack(gradients), torch.cat(by_term, dim=1)

    def _circumstances(self, place: int, group: int, iteration: int) -> Circumstances:
        goals = {at: tuple(each[group, None] for each in kept) for at, kept in self.class_goals[place].items()}
        memory = self.pool[place].remembered(self.memories[place][group, None]) if self.memories else None
        average = None if self.average is None else self.average[group]
        left_out = self.left_out(place, iteration)
        return Circumstances(place, goals, average, memory, self.keep(iteration), left_out)

    def _seen(self, images: Tensor, iteration: int) -> Tensor:
        views = [self._view(images, group, iteration) for group in range(len(self.batches))]
        return torch.stack([view.of(group) for view, group in zip(views, images, strict=True)])

    def _view(self, images: Tensor, group: int, iteration: int) -> RecoveryView:
        return draw_view(self.recipe, images.shape[-1], self.batches[group].seed, iteration)


def _precise(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
