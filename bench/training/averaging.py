"""An exponential moving average of a network."""

import copy

import torch
from torch import nn


class Ema:
    """The average: weights and floating buffers (BatchNorm's statistics) decay, counters are copied.

    Attributes:
        network: the averaged network, in evaluation mode.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """average <- decay * average + (1 - decay) * network."""
        state = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(state[name], 1 - self._decay)
            else:
                average.copy_(state[name])
