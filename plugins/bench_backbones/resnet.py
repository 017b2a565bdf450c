"""ResNets of torchvision, with the stem that small images need, or with the norm that the DC family gives them.

Up to 64 pixels the first convolution is 3x3 with stride 1 and padding 1, without bias, and there is no max-pool; above,
the network is torchvision's own. A replaced stem keeps nn.Conv2d's default initialisation, as in the releases, which
replace it after the network is built.

Those named "-imagenet-stem" keep torchvision's 7x7 stem and max-pool at every resolution, as SRe2L seems to have had
them at 64 pixels (Table 9 does not say that it changed them); above 64 pixels they are the others.

"resnet18-instance" is the ResNet18 of the DC family (VICO-UoE/DatasetCondensation; with the large stem ResNet18ImageNet
of GeorgeCazenavette/mtt-distillation): torchvision's layers with instance norm, and nn.Conv2d's default initialisation
in all of them. What the last block leaves is averaged; the releases average 4x4, which at 32 pixels is all of it.
"""

from collections.abc import Callable
from functools import partial

from torch import nn
from torchvision import models

from bench.errors import UsageError
from bench_backbones.norms import instance_norm
from bench_backbones.stems import SMALL_SIDE, fit_stem

SMALLEST = 9  # pixels: the last instance norm sees an eighth, rounded up, and takes a single pixel for all


def build(
    classes: int, resolution: int, channels: int, *, network: Callable[..., nn.Module], small_side: int = SMALL_SIDE
) -> nn.Module:
    """A ResNet for images (B, channels, resolution, resolution), with logits (B, classes).

    Up to 64 pixels it has a 3x3 stem and no max-pool, unless its name ends in "-imagenet-stem"; above it is
    torchvision's own, whose published weights fit.
    """
    built = network(weights=None, num_classes=classes)
    small = {"kernel_size": 3, "stride": 1, "padding": 1} if resolution <= small_side else {}
    fit_stem(built, "conv1", in_channels=channels, **small)
    if small:
        built.maxpool = nn.Identity()
    return built


def resnet18_instance(classes: int, resolution: int, channels: int) -> nn.Module:
    """ResNet-18 with instance norm for images (B, channels, resolution, resolution), with logits (B, classes).

    The DC family's: a 3x3 stem and no max-pool up to 64 pixels, above torchvision's stem.

    Raises:
        UsageError: fewer than 9 pixels a side.
    """
    if resolution < SMALLEST:
        raise UsageError(f"resnet18-instance needs images of at least {SMALLEST} pixels a side, not {resolution}")
    built = build(classes, resolution, channels, network=partial(models.resnet18, norm_layer=instance_norm))
    for module in built.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    return built


resnet18 = partial(build, network=models.resnet18)
resnet50 = partial(build, network=models.resnet50)
resnet101 = partial(build, network=models.resnet101)
resnet18_imagenet_stem = partial(build, network=models.resnet18, small_side=0)
resnet50_imagenet_stem = partial(build, network=models.resnet50, small_side=0)
resnet101_imagenet_stem = partial(build, network=models.resnet101, small_side=0)
