"""A network that images are recovered from, with the target statistics of its layers."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import RunFailure
from bench.recovery.layers import ByLayer, Layer, Measured, Sizes, by_layer, layers_of, sizes_of
from bench.recovery.recipes import MatchingRecipe


@dataclass(frozen=True)
class RealStatistics:
    """What training data give in the measured layers of a network (see `bench.recovery.real`).

    Attributes:
        overall: of all data, (n,) each.
        by_class: of each class, (K, n) each; empty where they were not asked for.
    """

    overall: ByLayer
    by_class: ByLayer

    @property
    def bytes(self) -> int:
        """What they take in memory."""
        kept = [*self.overall.values(), *self.by_class.values()]
        return sum(each.nbytes for measured in kept for each in measured)


@dataclass(frozen=True)
class Member:
    """A network of a pool, in evaluation mode and frozen.

    Attributes:
        network: images (B, C, H, W) -> logits (B, classes).
        real: statistics of training data; None where BatchNorm's running ones are all that is matched.
    """

    network: nn.Module
    real: RealStatistics | None = None

    def prepared(self) -> "Member":
        """Puts the network into evaluation mode and freezes it."""
        self.network.eval().requires_grad_(False)
        return self

    def layers(self, recipe: MatchingRecipe) -> list[Layer]:
        """Whose inputs a recipe measures. Raises RunFailure: none is a BatchNorm with running statistics."""
        return layers_of(self.network, recipe.match)

    def goals(self, recipe: MatchingRecipe) -> dict[int, Measured]:
        """What each layer's statistics should be: running ones of a BatchNorm, measured ones of a convolution.

        Raises:
            RunFailure: a layer has neither.
        """
        layers = self.layers(recipe)
        if self.real is None and any(layer.kind != "batchnorm" for layer in layers):
            raise RunFailure("statistics of convolutions are matched, and none were measured on training data")
        places = range(len(layers)) if self.real is None else sorted(self.real.overall)
        return {place: self._goal(layers[place], place) for place in places}

    def _goal(self, layer: Layer, place: int) -> Measured:
        if isinstance(layer.module, _BatchNorm):
            mean, variance = layer.module.running_mean, layer.module.running_var
            assert mean is not None and variance is not None
            return mean, variance
        assert self.real is not None
        return self.real.overall[place]

    @cached_property
    def sizes(self) -> Sizes:
        """How much is measured of each layer."""
        if self.real is None:
            raise RunFailure("what is measured of each layer is known from training data, and none was looked at")
        return sizes_of(self.real.overall)

    def class_goals(self, targets: Tensor, recipe: MatchingRecipe) -> dict[int, Measured]:
        """Of each layer, what its statistics should be in batches of these classes: (G, n) each.

        EDC's class-conditional goals: the mean over a batch's labels of what each class gives. By the released code
        ("within-image-variance") of its variances as well; else a batch's variance is that of the mixture,

            var = mean over labels of (var_c + mu_c^2)  -  (mean over labels of mu_c)^2

        Args:
            targets: int64 (G, B), class indices.

        Raises:
            RunFailure: no statistics of classes were measured.
        """
        if recipe.global_share == 1:
            return {}
        if self.real is None or not self.real.by_class:
            raise RunFailure("statistics of classes are matched, and none were measured on training data")
        return {place: _of_batches(kept, targets, recipe) for place, kept in self.real.by_class.items()}

    def start_of_memory(self, groups: int, device: torch.device) -> Tensor:
        """float32 (G, D) of zeros: what is remembered of earlier batches' statistics, layer by layer."""
        return torch.zeros(groups, sum(map(sum, self.sizes.values())), device=device)

    def remembered(self, memory: Tensor) -> dict[int, Measured]:
        """The memory by layer: (G, n) each."""
        return by_layer(memory, self.sizes)


def _of_batches(kept: Measured, targets: Tensor, recipe: MatchingRecipe) -> Measured:
    """Picked on the CPU, where statistics of all classes lie, and moved to where the targets are."""
    averaged, labels = "within-image-variance" in recipe.as_released, targets.cpu()
    pairs = [_of_pair(kept[at], kept[at + 1], labels, averaged=averaged) for at in range(0, len(kept), 2)]
    if len(pairs) == 2 and "swapped-patches" in recipe.as_released:
        pairs[1] = pairs[1][::-1]
    return tuple(each.to(targets.device) for pair in pairs for each in pair)


def _of_pair(means: Tensor, variances: Tensor, targets: Tensor, *, averaged: bool) -> tuple[Tensor, Tensor]:
    mean = means[targets].mean(1)
    if averaged:
        return mean, variances[targets].mean(1)
    return mean, (variances[targets] + means[targets].square()).mean(1) - mean.square()
