"""EfficientNet-B0 (Tan and Le, ICML 2019) of torchvision; up to 64 pixels its stem does not halve the side.

The changed stem is that of EDC's code for CIFAR-10, where the network is written into the recovery but not listed in
the pool. Dropout and stochastic depth are torchvision's.

So are the first weights, which depend on the number of classes C: a classifier starts from U(-1/sqrt(C), 1/sqrt(C)),
with a deviation of 0.018 for 1,000 classes and of 0.183 for 10. Releases start narrower where there are fewer: RDED
takes the rows of a classifier of 1,000, and EDC puts a new nn.Linear there (0.016).
"""

from torch import nn
from torchvision import models

from bench_backbones.stems import SMALL_SIDE, fit_stem


def efficientnet_b0(classes: int, resolution: int, channels: int) -> nn.Module:
    """EfficientNet-B0 for images (B, channels, resolution, resolution), with logits (B, classes).

    Up to 64 pixels its first convolution has stride 1, as in EDC's code for CIFAR-10. First weights are torchvision's:
    for 10 classes the classifier's are ten times as large as in RDED's and EDC's code, for 1000 as there.
    """
    network: nn.Module = models.efficientnet_b0(weights=None, num_classes=classes)
    fit_stem(network, "features.0.0", in_channels=channels, stride=1 if resolution <= SMALL_SIDE else 2)
    return network
