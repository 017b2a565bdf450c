"""ShuffleNetV2, 0.5 wide (Ma et al., ECCV 2018): torchvision's network, with the stem that small images need.

Up to 64 pixels the first convolution is 1x1 with stride 1 and there is no max-pool, as in G-VBSM and EDC: 351,466
parameters for 10 classes. Above, the network is torchvision's own: 1,366,792 for 1000.
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
    if resolution <= SMALL_SIDE:
        fit_stem(network, "conv1.0", kernel_size=1, stride=1, padding=0)
        network.maxpool = nn.Identity()
    return network
