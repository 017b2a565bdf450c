"""VGG-11 with BatchNorm (Simonyan and Zisserman, ICLR 2015): torchvision's, with one linear layer up to 64 pixels.

The small one is that of the DC family (VICO-UoE/DatasetCondensation), which G-VBSM and EDC carry along: the same eight
convolutions and five max-pools, then one linear layer on 512 channels, no dropout: 9,231,114 parameters for 10 classes.
Above 32 pixels, where the release's would not fit, what the poolings leave is averaged. Gray 28x28 images are treated
as 32x32: the first convolution pads by 3. Above 64 pixels the network is torchvision's own, of 132,868,840 parameters
for 1000 classes.
"""

from torch import nn
from torchvision import models
from torchvision.models.vgg import cfgs, make_layers

from bench.errors import UsageError
from bench_backbones.convnet import padded_side
from bench_backbones.stems import SMALL_SIDE, fit_stem

HALVINGS = 5
FEATURES = 512


def vgg11_bn(classes: int, resolution: int, channels: int) -> nn.Module:
    """VGG-11 with BatchNorm for images (B, channels, resolution, resolution), with logits (B, classes).

    Up to 64 pixels it has one linear layer, as in the DC family, above torchvision's three.

    Raises:
        UsageError: fewer pixels than its five poolings can halve.
    """
    side = padded_side(resolution, channels)
    if side >> HALVINGS == 0:
        raise UsageError(f"vgg11-bn needs images of at least {1 << HALVINGS} pixels a side, not {resolution}")
    if resolution > SMALL_SIDE:
        network: nn.Module = models.vgg11_bn(weights=None, num_classes=classes)
        fit_stem(network, "features.0", in_channels=channels)
        return network
    features: nn.Module = make_layers(cfgs["A"], batch_norm=True)
    fit_stem(features, "0", in_channels=channels, padding=1 + (side - resolution) // 2)
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(FEATURES, classes))
