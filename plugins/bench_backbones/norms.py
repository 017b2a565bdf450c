"""Instance norm as the DC family has it."""

from torch import nn


def instance_norm(channels: int) -> nn.GroupNorm:
    """One group a channel, affine: what the releases call "instancenorm"."""
    return nn.GroupNorm(channels, channels, affine=True)
