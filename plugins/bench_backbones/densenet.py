"""DenseNet-121 (Huang et al., CVPR 2017): torchvision's network, with the stem that small images need.

Up to 64 pixels the first convolution is 3x3 with stride 1, and neither norm, ReLU nor max-pool follow it, as in
CV-DD and FADRM: 6,956,298 parameters for 10 classes. Above, the network is torchvision's own: 7,978,856 for 1000.
"""

from torch import nn
from torchvision import models

from bench_backbones.stems import SMALL_SIDE, fit_stem


def densenet121(classes: int, resolution: int, channels: int) -> nn.Module:
    """DenseNet-121 for images (B, channels, resolution, resolution), with logits (B, classes).

    Up to 64 pixels it has a 3x3 stem of stride 1 and halves the side three times, as CV-DD and FADRM train it there;
    above it is torchvision's own, whose published weights fit.
    """
    network: nn.Module = models.densenet121(weights=None, num_classes=classes)
    fit_stem(network, "features.conv0", in_channels=channels)
    if resolution <= SMALL_SIDE:
        fit_stem(network, "features.conv0", kernel_size=3, stride=1, padding=1)
        for name in ("norm0", "relu0", "pool0"):
            network.set_submodule(f"features.{name}", nn.Identity())
    return network
