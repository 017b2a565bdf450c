"""AlexNet (Krizhevsky, Sutskever and Hinton, NeurIPS 2012): torchvision's above 64 pixels, DC's small one up to there.

The small one is that of the DC family (VICO-UoE/DatasetCondensation), which G-VBSM and EDC carry along: 5x5 stem of
stride 1, widths 128 to 256, three max-pools, one linear layer, no norm and no dropout. It has 1,872,202 parameters for
10 classes of 32 pixels. Gray 28x28 images are treated as 32x32: the first convolution pads by 4.

"alexnet-bn" is AlexNetBN of that release: the small one at every resolution, with BatchNorm between each convolution,
which keeps its bias, and its ReLU.
"""

from torch import nn
from torchvision import models

from bench.errors import UsageError
from bench_backbones.convnet import padded_side
from bench_backbones.stems import SMALL_SIDE, fit_stem

HALVINGS = 3
LAST = 192


def alexnet(classes: int, resolution: int, channels: int) -> nn.Module:
    """AlexNet for images (B, channels, resolution, resolution), with logits (B, classes).

    Up to 64 pixels it is the DC family's small one, above torchvision's.

    Raises:
        UsageError: fewer pixels than its three poolings can halve.
    """
    if resolution <= SMALL_SIDE:
        return _small("alexnet", classes, resolution, channels, norm=False)
    network: nn.Module = models.alexnet(weights=None, num_classes=classes)
    fit_stem(network, "features.0", in_channels=channels)
    return network


def alexnet_bn(classes: int, resolution: int, channels: int) -> nn.Module:
    """AlexNet with BatchNorm for images (B, channels, resolution, resolution), with logits (B, classes).

    It is the DC family's small one at every resolution.

    Raises:
        UsageError: fewer pixels than its three poolings can halve.
    """
    return _small("alexnet-bn", classes, resolution, channels, norm=True)


def _small(name: str, classes: int, resolution: int, channels: int, *, norm: bool) -> nn.Module:
    side = padded_side(resolution, channels)
    if (left := side >> HALVINGS) == 0:
        raise UsageError(f"{name} needs images of at least {1 << HALVINGS} pixels a side, not {resolution}")
    return nn.Sequential(
        *_convolution(channels, 128, kernel_size=5, padding=2 + (side - resolution) // 2, norm=norm),
        nn.MaxPool2d(2),
        *_convolution(128, 192, kernel_size=5, padding=2, norm=norm),
        nn.MaxPool2d(2),
        *_convolution(192, 256, kernel_size=3, padding=1, norm=norm),
        *_convolution(256, 192, kernel_size=3, padding=1, norm=norm),
        *_convolution(192, LAST, kernel_size=3, padding=1, norm=norm),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(LAST * left * left, classes),
    )


def _convolution(inside: int, outside: int, *, kernel_size: int, padding: int, norm: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(inside, outside, kernel_size, padding=padding)
    return [convolution, *([nn.BatchNorm2d(outside)] if norm else []), nn.ReLU(inplace=True)]
