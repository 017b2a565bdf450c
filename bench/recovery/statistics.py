"""BatchNorm layers and the statistics of what enters a layer: mean and biased variance of each channel."""

from typing import TypeGuard

import torch
from torch import Tensor, nn
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
