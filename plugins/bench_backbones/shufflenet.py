"""ShuffleNetV2 (Ma et al., ECCV 2018), 0.5 wide or as CV-DD has it: torchvision's, with a stem for small images.

Up to 64 pixels the first convolution is 1x1 with stride 1 and there is no max-pool, as in G-VBSM and EDC: 351,466
parameters for 10 classes. Above, the network is torchvision's own: 1,366,792 for 1000.

"shufflenetv2" is CV-DD's: up to 64 pixels 0.5 wide too, but its first convolution stays 3x3 (stride 1): 352,042 for 10
classes. Above it is torchvision's 1.0 wide: 2,278,604 for 1000.
"""

from torch import nn
from torchvision import models

from bench_backbones.stems import SMALL_SIDE, fit_stem


def shufflenetv2_half(classes: int, resolution: int, channels: int) -> nn.Module:
    """ShuffleNetV2-0.5 for images (B, channels, resolution, resolution), with logits (B, classes).

    Up to 64 pixels its first convolution is 1x1 and there is no max-pool, as in G-VBSM and EDC.
    """
    network: nn.Module = models.shufflenet_v2_x0_5(weights=None, num_classes=classes)
    fit_stem(network, "conv1.0", in_channels=channels)
    return _for_small_images(network, kernel_size=1, padding=0) if resolution <= SMALL_SIDE else network


def shufflenetv2(classes: int, resolution: int, channels: int) -> nn.Module:
    """CV-DD's ShuffleNetV2 for images (B, channels, resolution, resolution), with logits (B, classes).

    Up to 64 pixels it is 0.5 wide with a 3x3 stem of stride 1, as CV-DD and FADRM train it there; above it is
    torchvision's own, 1.0 wide, whose published weights fit.
    """
    network = models.shufflenet_v2_x0_5 if resolution <= SMALL_SIDE else models.shufflenet_v2_x1_0
    built: nn.Module = network(weights=None, num_classes=classes)
    fit_stem(built, "conv1.0", in_channels=channels)
    return _for_small_images(built, kernel_size=3, padding=1) if resolution <= SMALL_SIDE else built


def _for_small_images(network: nn.Module, *, kernel_size: int, padding: int) -> nn.Module:
    fit_stem(network, "conv1.0", kernel_size=kernel_size, stride=1, padding=padding)
    network.maxpool = nn.Identity()
    return network
