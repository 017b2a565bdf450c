"""VGG-11 (Simonyan and Zisserman, ICLR 2015) with BatchNorm or instance norm, as torchvision and the DC family have it.

The small one is that of the DC family (VICO-UoE/DatasetCondensation), which G-VBSM and EDC carry along: torchvision's
eight convolutions and five max-pools, then one linear layer on 512 channels, no dropout: 9,231,114 parameters for 10
classes. Above 32 pixels, where the release's would not fit, what the poolings leave is averaged. Gray 28x28 images are
treated as 32x32: the first convolution pads by 3.

"vgg11-bn" is the small one up to 64 pixels and torchvision's own above, of 132,868,840 parameters for 1000 classes.
"vgg11-instance" is the small one at every resolution, with the instance norm that the release has by default.
"""

from torch import nn
from torchvision import models
from torchvision.models.vgg import cfgs, make_layers

from bench.errors import UsageError
from bench_backbones.convnet import padded_side
from bench_backbones.norms import instance_norm
from bench_backbones.stems import SMALL_SIDE, fit_stem

HALVINGS = 5
FEATURES = 512


def vgg11_bn(classes: int, resolution: int, channels: int) -> nn.Module:
    """VGG-11 with BatchNorm for images (B, channels, resolution, resolution), with logits (B, classes).

    Up to 64 pixels it has one linear layer, as in the DC family, above torchvision's three.

    Raises:
        UsageError: fewer pixels than its five poolings can halve.
    """
    if resolution <= SMALL_SIDE:
        return _small("vgg11-bn", classes, resolution, channels)
    network: nn.Module = models.vgg11_bn(weights=None, num_classes=classes)
    fit_stem(network, "features.0", in_channels=channels)
    return network


def vgg11_instance(classes: int, resolution: int, channels: int) -> nn.Module:
    """VGG-11 with instance norm for images (B, channels, resolution, resolution), with logits (B, classes).

    It has one linear layer, as in the DC family, at every resolution.

    Raises:
        UsageError: fewer pixels than its five poolings can halve.
    """
    network = _small("vgg11-instance", classes, resolution, channels)
    norms = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    for name, norm in norms:
        network.set_submodule(name, instance_norm(norm.num_features))
    return network


def _small(name: str, classes: int, resolution: int, channels: int) -> nn.Module:
    side = padded_side(resolution, channels)
    if side >> HALVINGS == 0:
        raise UsageError(f"{name} needs images of at least {1 << HALVINGS} pixels a side, not {resolution}")
    features: nn.Module = make_layers(cfgs["A"], batch_norm=True)
    fit_stem(features, "0", in_channels=channels, padding=1 + (side - resolution) // 2)
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(FEATURES, classes))
