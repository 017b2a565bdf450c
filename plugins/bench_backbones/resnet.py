"""ResNets of torchvision, with the stem that small images need.

Up to 64 pixels the first convolution is 3x3 with stride 1 and padding 1, without bias, and there is no max-pool; above,
the network is torchvision's own. A replaced stem keeps nn.Conv2d's default initialisation, as in the releases, which
replace it after the network is built.
"""

from collections.abc import Callable
from functools import partial

from torch import nn
from torchvision import models

from bench_backbones.stems import SMALL_SIDE, fit_stem


def build(classes: int, resolution: int, channels: int, *, network: Callable[..., nn.Module]) -> nn.Module:
    """A ResNet for images (B, channels, resolution, resolution), with logits (B, classes)."""
    built = network(weights=None, num_classes=classes)
    small = {"kernel_size": 3, "stride": 1, "padding": 1} if resolution <= SMALL_SIDE else {}
    fit_stem(built, "conv1", in_channels=channels, **small)
    if small:
        built.maxpool = nn.Identity()
    return built


resnet18 = partial(build, network=models.resnet18)
resnet50 = partial(build, network=models.resnet50)
resnet101 = partial(build, network=models.resnet101)
