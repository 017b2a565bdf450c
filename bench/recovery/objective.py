"""The recovery loss of several independent batches as one module of fixed shapes: what the fast engine compiles.

It is the loss of `bench.recovery.reference`, arranged otherwise:

- The statistics of a BatchNorm's input come from one pass over it, around the running mean m: with d = x - m,

      mu - m = E[d],    var = E[d^2] - E[d]^2

  in fp32. The subtraction cannot cancel where it matters: E[d] goes to 0 as the images approach their target.
- A view is two matrix products (`bench.recovery.views.seen_through`), so that every crop has the same shapes.
- In bf16 the weights of convolutions and linear layers are rounded once, not in every step; their sum and the order of
  rounding are those of autocast.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from bench.hardware.choices import Precision
from bench.recovery.recipes import RecoveryRecipe
from bench.recovery.statistics import batchnorms
from bench.recovery.views import seen_through


class Objective(nn.Module):
    """(images (G, B, C, S, S), targets (G, B), views (G, 7)) -> the sum of the G batches' losses, a scalar.

    Args:
        network: is copied; the copy is frozen, in evaluation mode, in the arithmetic of `precision`.
        recipe: weights of the terms.
        device, precision: of forward and backward passes; statistics, distances and cross-entropy are fp32.
    """

    def __init__(self, network: nn.Module, recipe: RecoveryRecipe, device: torch.device, precision: Precision) -> None:
        super().__init__()
        self._device_type, self._bf16 = device.type, precision == "bf16"
        self.network = _frozen(network, bf16=self._bf16)
        self.recipe = recipe
        self._found: dict[int, Tensor] = {}
        for index, layer in enumerate(batchnorms(self.network)):
            layer.register_forward_pre_hook(self._measure(index))

    def forward(self, images: Tensor, targets: Tensor, views: Tensor) -> Tensor:
        """The sum of the batches' losses; one batch's images have no part in another's."""
        self._groups = len(images)
        self._found.clear()
        seen = seen_through(images, views).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device_type, torch.bfloat16, enabled=self._bf16):
            logits = self.network(seen)
        mismatch = torch.stack(list(self._found.values())).sum()
        self._found.clear()
        surprise = cross_entropy(logits.float(), targets.flatten(), reduction="sum") / targets.shape[1]
        return surprise + self.recipe.bn_weight * mismatch

    def _measure(self, index: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        weight = self.recipe.first_bn_multiplier if index == 0 else 1.0

        def measure(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(layer, _BatchNorm)
            self._found[index] = weight * _mismatch(layer, inputs[0], self._groups)

        return measure


def _mismatch(layer: _BatchNorm, inputs: Tensor, groups: int) -> Tensor:
    """||mu - running_mean|| + ||var - running_var|| of each group's inputs (G * B, C, ...), summed over groups."""
    assert layer.running_mean is not None and layer.running_var is not None
    channels = inputs.shape[1]
    grouped = inputs.unflatten(0, (groups, -1)).float()
    shape = (1, 1, channels, *[1] * (grouped.ndim - 3))
    count = grouped.numel() // (groups * channels)
    deviations = grouped - layer.running_mean.view(shape)
    offset = _summed(deviations) / count
    variance = _summed(deviations.square()) / count - offset.square()
    distances: Tensor = vector_norm(offset, dim=1) + vector_norm(variance - layer.running_var, dim=1)
    return distances.sum()


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
    return copied.to(memory_format=torch.channels_last)
