"""ConvNeXt-Tiny (Liu et al., CVPR 2022), torchvision's own at every resolution, its stochastic depth of 0.1 included.

EDC's code takes torchvision's network of that name: 28,589,128 parameters for 1000 classes. Its patches of 4 pixels are
merged three times, so it needs 32 pixels; no release that is compared here trains it on fewer than 224.
"""

from torch import nn
from torchvision import models

from bench.errors import UsageError
from bench_backbones.stems import fit_stem

SMALLEST = 32


def convnext_tiny(classes: int, resolution: int, channels: int) -> nn.Module:
    """ConvNeXt-Tiny for images (B, channels, resolution, resolution), with logits (B, classes).

    Raises:
        UsageError: fewer than 32 pixels a side.
    """
    if resolution < SMALLEST:
        raise UsageError(f"convnext-tiny needs images of at least {SMALLEST} pixels a side, not {resolution}")
    network: nn.Module = models.convnext_tiny(weights=None, num_classes=classes)
    fit_stem(network, "features.0.0", in_channels=channels)
    return network
