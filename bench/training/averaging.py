"""An exponential moving average of a network."""

import copy

import torch
from torch import nn


class Ema:
    """The average: weights decay, and so do floating buffers (BatchNorm's statistics); counters are copied.

    Args:
        live_buffers: all buffers are copied instead: statistics of the network as it is, under averaged weights.

    Attributes:
        network: the averaged network, in evaluation mode.
    """

    def __init__(self, network: nn.Module, decay: float, *, live_buffers: bool = False) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay
        self._copied = {name for name, _ in network.named_buffers()} if live_buffers else set()

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """average <- decay * average + (1 - decay) * network."""
        state = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point() and name not in self._copied:
                average.lerp_(state[name], 1 - self._decay)
            else:
                average.copy_(state[name])
