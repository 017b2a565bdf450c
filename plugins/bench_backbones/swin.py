"""Swin-T (Liu et al., ICCV 2021), torchvision's own at every resolution, its stochastic depth included.

Its patches of 4 pixels are merged three times, so it needs 32 pixels; no release that is compared here trains it on
fewer than 224.
"""

from torch import nn
from torchvision import models

from bench.errors import UsageError
from bench_backbones.stems import fit_stem

SMALLEST = 32


def swin_tiny(classes: int, resolution: int, channels: int) -> nn.Module:
    """Swin-T for images (B, channels, resolution, resolution), with logits (B, classes).

    Raises:
        UsageError: fewer than 32 pixels a side.
    """
    if resolution < SMALLEST:
        raise UsageError(f"swin-tiny needs images of at least {SMALLEST} pixels a side, not {resolution}")
    network: nn.Module = models.swin_t(weights=None, num_classes=classes)
    fit_stem(network, "features.0.0", in_channels=channels)
    return network
