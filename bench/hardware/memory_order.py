"""In which order the numbers of images and weights lie in memory.

A convolution brings images into the order of its weights, so it is the network that decides. The order is one of speed,
and of rounding.
"""

import torch
from torch import nn

from bench.hardware.choices import Precision


def memory_order(network: nn.Module, device: torch.device, precision: Precision) -> torch.memory_format:
    """The order in which the network's layers are fast.

    Channels last is what units for bf16 and TF32 are made for, and what BatchNorm is fast in on a processor: in fp32 a
    step of ConvNet-4 takes three quarters of the time. GroupNorm is slow in it there: in bf16 a step of ConvNet-3 takes
    2.7 times as long. (Trainings on one core of an AMD EPYC with AVX-512 BF16, not compiled; where they are, the order
    makes no difference.)
    """
    if device.type == "cuda":
        last = precision != "fp32"
    else:
        last = not any(isinstance(module, nn.GroupNorm) for module in network.modules())
    return torch.channels_last if last else torch.contiguous_format
