"""The recovery loss of several independent batches as one module of fixed shapes: what the fast engine compiles.

It is the loss of `bench.recovery.reference`, arranged otherwise:

- The statistics of an input come from one pass over it, around the mean m that they should have: with d = x - m,

      mu - m = E[d],    var = E[d^2] - E[d]^2

  in fp32. The subtraction cannot cancel where it matters: E[d] goes to 0 as the images approach their target.
- An input that several layers share (the two branches of a residual block) is measured once.
- A view is two matrix products (`bench.recovery.views.seen_through`), so that every crop has the same shapes.
- In bf16 the weights of convolutions and linear layers are rounded once, not in every step; their sum and the order of
  rounding are those of autocast.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from bench.hardware.choices import Precision
from bench.hardware.memory_order import memory_order
from bench.recovery.layers import Layer, Measured, by_layer, divisible, laid_out, layers_of
from bench.recovery.pool import Member
from bench.recovery.recipes import MatchingRecipe, RecoveryRecipe
from bench.recovery.smoothing import smoothed
from bench.recovery.terms import Observed, terms_of, weighed
from bench.recovery.views import seen_through


class Objective(nn.Module):
    """The sum of G batches' losses in one network of a pool; one batch's images have no part in another's.

    Args:
        member: the network, of which a copy is made, frozen and in evaluation mode, in the arithmetic of `precision`.
        recipe: the terms.
        device, precision: of forward and backward passes; statistics, distances and cross-entropy are fp32.

    Attributes:
        left_out: the places of layers that are not measured, where it is not compiled. Compiled it measures all, and
            takes `kept` for what counts.
    """

    def __init__(
        self, member: nn.Module | Member, recipe: RecoveryRecipe, device: torch.device, precision: Precision
    ) -> None:
        super().__init__()
        member = Member(member) if isinstance(member, nn.Module) else member
        self.recipe = MatchingRecipe.of(recipe)
        self._member, self._terms = member, terms_of(self.recipe)
        self._device_type, self._bf16 = device.type, precision == "bf16"
        self._order = memory_order(member.network, device, precision)
        self.network = _frozen(member.network, bf16=self._bf16).to(memory_format=self._order)
        self._centres = {place: goal[0] for place, goal in member.goals(self.recipe).items()}
        self._around_goals = not self.recipe.smoothing and self.recipe.global_share == 1
        self._goals = {place: self._seen_goals(goal) for place, goal in member.goals(self.recipe).items()}
        self._found: dict[int, Measured] = {}
        self._inputs: list[tuple[int, Layer, Tensor]] = []
        self._measuring, self.left_out = True, frozenset[int]()
        for place, layer in enumerate(layers_of(self.network, self.recipe.match)):
            layer.module.register_forward_pre_hook(self._measure(place, layer))

    def forward(
        self,
        images: Tensor,
        targets: Tensor,
        views: Tensor,
        class_goals: Tensor | None = None,
        memory: Tensor | None = None,
        keep: Tensor | None = None,
        average: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """The loss; what is to be remembered of the statistics, (G, D), where something is; the loss by term, (T, G).

        Args:
            images: (G, B, C, S, S) in normalised space.
            targets: int64 (G, B).
            views: int64 (G, 7), see `bench.recovery.views.seen_through`.
            class_goals: (G, D), laid out layer by layer, where statistics of classes count.
            memory, keep: (G, D) and a scalar, where statistics are smoothed; see `bench.recovery.smoothing`.
            average: (G, B, C, S, S), the images' moving average, where there is a term of flatness.
            kept: (L,), 0 for layers that are left out and 1 for the others, where chance leaves some out.
        """
        aim = None if average is None else self._aim(average, views)
        self._groups = len(images)
        self._found.clear()
        logits = self._logits(images, views)
        statistics, remembered = dict(self._found), None
        self._found.clear()
        self._inputs.clear()
        if memory is not None and keep is not None:
            statistics, fresh = smoothed(statistics, self._member.remembered(memory), keep, kept)
            remembered = laid_out(fresh)
        observed = Observed(
            targets=targets,
            logits=logits,
            statistics=statistics,
            goals=self._goals,
            class_goals={} if class_goals is None else by_layer(class_goals, self._member.sizes),
            kept=kept,
            average_logits=aim,
        )
        by_term = weighed(self._terms, observed)
        return by_term.sum(), remembered, by_term.detach()

    def _logits(self, images: Tensor, views: Tensor) -> Tensor:
        """fp32 (G, B, K)."""
        seen = seen_through(images, views).flatten(0, 1).contiguous(memory_format=self._order)
        with torch.autocast(self._device_type, torch.bfloat16, enabled=self._bf16):
            logits = self.network(seen)
        precise: Tensor = logits.float().unflatten(0, images.shape[:2])
        return precise

    def _aim(self, average: Tensor, views: Tensor) -> Tensor:
        self._measuring = False
        with torch.no_grad():
            logits = self._logits(average, views)
        self._measuring = True
        return logits

    def _measure(self, place: int, layer: Layer) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def measure(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if self._measuring and (torch.compiler.is_compiling() or place not in self.left_out):
                self._found[place] = self._measured(place, layer, inputs[0])

        return measure

    def _measured(self, place: int, layer: Layer, inputs: Tensor) -> Measured:
        for earlier, other, seen in self._inputs:
            if seen is inputs and other.kind == layer.kind:
                return self._found[earlier]
        if layer.kind == "convolution":
            self._inputs.append((place, layer, inputs))
        grouped, centre = inputs.unflatten(0, (self._groups, -1)).float(), self._centres[place]
        offset, variance = _channels(grouped, centre)
        mean = offset if self._around_goals else offset + centre
        if layer.kind == "batchnorm":
            return mean, variance
        return mean, variance, *_patches(grouped, centre.mean(), self.recipe.patch)

    def _seen_goals(self, goal: Measured) -> tuple[Tensor | None, ...]:
        return (None, *goal[1:]) if self._around_goals else goal


def _channels(grouped: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """Of each group's inputs (G, B, C, ...) the means around a centre (C,), and the variances: (G, C) each."""
    groups, _, channels = grouped.shape[:3]
    shape = (1, 1, channels, *[1] * (grouped.ndim - 3))
    count = grouped.numel() // (groups * channels)
    deviations = grouped - centre.view(shape)
    offset = _summed(deviations) / count
    return offset, _summed(deviations.square()) / count - offset.square()


def _patches(grouped: Tensor, centre: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    """Means and variances of squares of (G, B, C, H, W), over all but group and square: (G, P) each."""
    deviations = divisible(grouped - centre, patch)
    sides = (len(deviations), -1, patch, deviations.shape[-1] // patch, patch)
    count = deviations.shape[1] * deviations.shape[2] * patch * patch
    offset = deviations.sum((1, 2)).view(sides).sum((2, 4)).flatten(1) / count
    second = deviations.square().sum((1, 2)).view(sides).sum((2, 4)).flatten(1) / count
    return offset + centre, second - offset.square()


def _summed(grouped: Tensor) -> Tensor:
    """(G, B, K, ...) -> (G, K). The last axis goes first: its partial sums are made while they are in the cache."""
    partial = grouped.sum(-1) if grouped.ndim > 3 else grouped
    return partial.sum([1, *range(3, partial.ndim)])


def _frozen(network: nn.Module, *, bf16: bool) -> nn.Module:
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    if bf16:
        for module in copied.modules():
            if isinstance(module, _ConvNd | nn.Linear):
                module.to(torch.bfloat16)
    return copied
