"""Statistics of what enters each BatchNorm, and R_BN: how far they are from those of the training data.

SRe2L equation (7):

    R_BN = sum over l of  w_l (||mu_l - running_mean_l||_2 + ||var_l - running_var_l||_2)

with norms that are not squared, the biased variance, w_1 = `first_bn_multiplier` and all other w_l = 1. "First" is the
first BatchNorm in the order of `network.modules()`, as in the release.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import RunFailure

Moments = tuple[Tensor, Tensor]


def batchnorms(network: nn.Module) -> list[_BatchNorm]:
    """The network's BatchNorm layers that keep running statistics, in the order of `network.modules()`.

    Raises:
        RunFailure: it has none, so there is nothing to recover images from.
    """
    layers = [module for module in network.modules() if is_batchnorm(module)]
    if not layers:
        name = type(network).__name__
        raise RunFailure(f"{name} has no BatchNorm with running statistics, and recovery matches those; take another")
    return layers


def is_batchnorm(module: nn.Module) -> TypeGuard[_BatchNorm]:
    """Whether it is a BatchNorm that keeps running statistics."""
    return isinstance(module, _BatchNorm) and module.track_running_stats


def moments(inputs: Tensor) -> Moments:
    """Mean and biased variance of each channel, (C,) each, over all axes but the second.

    Takes (B, C), (B, C, tokens) or (B, C, H, W). Half-precision inputs are measured in fp32.
    """
    precise = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
    axes = [axis for axis in range(inputs.ndim) if axis != 1]
    variance, mean = torch.var_mean(precise, axes, correction=0)
    return mean, variance


@contextmanager
def measured(layers: Sequence[_BatchNorm]) -> Iterator[dict[_BatchNorm, Moments]]:
    """Within the context, each forward pass leaves in the dict the moments of each layer's input.

    A layer that forward passes do not reach (an auxiliary head) stays out of it.
    """
    found: dict[_BatchNorm, Moments] = {}

    def measure(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, _BatchNorm)
        found[layer] = moments(inputs[0])

    handles = [layer.register_forward_pre_hook(measure) for layer in layers]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def bn_loss(found: Mapping[_BatchNorm, Moments], first: _BatchNorm, first_bn_multiplier: float = 1.0) -> Tensor:
    """R_BN of the moments of each layer's input, a scalar; `first` is the layer that has the weight w_1.

    Where a statistic matches exactly, the norm's gradient is taken as 0 (torch's own choice), not NaN.
    """
    terms = [
        (first_bn_multiplier if layer is first else 1.0) * _mismatch(layer, *its_moments)
        for layer, its_moments in found.items()
    ]
    return torch.stack(terms).sum()


def _mismatch(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> Tensor:
    assert layer.running_mean is not None and layer.running_var is not None
    distance: Tensor = vector_norm(mean - layer.running_mean) + vector_norm(variance - layer.running_var)
    return distance
