"""MobileNetV2 (Sandler et al., CVPR 2018), which is one network above 64 pixels and another up to there.

Above, it is torchvision's own, 1.0 wide: 3,504,872 parameters for 1000 classes. Up to 64 pixels it is the one that
G-VBSM, EDC and the distillation literature train on CIFAR and Tiny-ImageNet, 0.5 wide: 697,546 parameters for 10
classes. Besides its width, that one halves the side four times and not five (the 24-channel stage has stride 1), has an
expansion in its first block too, ReLU in place of ReLU6, no dropout, and widths that are not rounded to multiples of 8.
"""

from functools import partial

from torch import Tensor, nn
from torchvision import models
from torchvision.ops import Conv2dNormActivation

from bench_backbones.stems import SMALL_SIDE, fit_stem

EXPANSION, FEATURES = 6, 1280
#: expansion, channels, blocks, stride of the first; for CIFAR and Tiny-ImageNet, channels at half width
STAGES = (
    (1, 8, 1, 1),
    (EXPANSION, 12, 2, 1),
    (EXPANSION, 16, 3, 2),
    (EXPANSION, 32, 4, 2),
    (EXPANSION, 48, 3, 1),
    (EXPANSION, 80, 3, 2),
    (EXPANSION, 160, 1, 1),
)
STEM = 16

convolved = partial(Conv2dNormActivation, activation_layer=nn.ReLU)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project: float (B, inside, S, S) -> (B, outside, S / stride, S / stride)."""

    def __init__(self, inside: int, outside: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.residual = stride == 1 and inside == outside
        self.layers = nn.Sequential(
            convolved(inside, wide, kernel_size=1),
            convolved(wide, wide, kernel_size=3, stride=stride, groups=wide),
            Conv2dNormActivation(wide, outside, kernel_size=1, activation_layer=None),
        )

    def forward(self, images: Tensor) -> Tensor:
        changed: Tensor = self.layers(images)
        return images + changed if self.residual else changed


class HalfMobileNet(nn.Module):
    """Images (B, channels, S, S) to logits (B, classes), 0.5 wide."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.stem = convolved(channels, STEM, kernel_size=3, stride=2)
        self.blocks = nn.Sequential(*_blocks())
        self.head = convolved(STAGES[-1][1], FEATURES, kernel_size=1)
        self.classifier = nn.Linear(FEATURES, classes)
        self.apply(_start)

    def forward(self, images: Tensor) -> Tensor:
        """float (B, channels, S, S) -> (B, classes)."""
        features: Tensor = self.head(self.blocks(self.stem(images)))
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits


def _blocks() -> list[nn.Module]:
    blocks, inside = list[nn.Module](), STEM
    for expansion, outside, count, stride in STAGES:
        for index in range(count):
            block = InvertedResidual(inside, outside, stride=1 if index else stride, expansion=expansion)
            blocks.append(block)
            inside = outside
    return blocks


def _start(module: nn.Module) -> None:
    """The first weights of both networks: He's by fan-out, and a narrow classifier."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)


def mobilenetv2(classes: int, resolution: int, channels: int) -> nn.Module:
    """MobileNetV2 for images (B, channels, resolution, resolution), with logits (B, classes).

    Up to 64 pixels it is 0.5 wide and halves the side four times, as G-VBSM and EDC train it there; above it is
    torchvision's own, 1.0 wide, whose published weights fit.
    """
    if resolution <= SMALL_SIDE:
        return HalfMobileNet(classes, channels)
    network: nn.Module = models.mobilenet_v2(weights=None, num_classes=classes)
    fit_stem(network, "features.0.0", in_channels=channels)
    return network
