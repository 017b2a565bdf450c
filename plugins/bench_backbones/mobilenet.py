"""MobileNetV2 (Sandler et al., CVPR 2018), which is one network above 64 pixels and two others up to there.

Above, it is torchvision's own, 1.0 wide: 3,504,872 parameters for 1000 classes. Up to 64 pixels it is the one that
G-VBSM, EDC and the distillation literature train on CIFAR and Tiny-ImageNet, 0.5 wide: 697,546 parameters for 10
classes. Besides its width, that one halves the side four times and not five (the 24-channel stage has stride 1), has an
expansion in its first block too, ReLU in place of ReLU6, no dropout, and widths that are not rounded to multiples of 8.

"mobilenetv2-1.0" is up to 64 pixels the one of CV-DD and FADRM, 1.0 wide: 2,296,922 parameters for 10 classes. It
halves the side three times, because its first convolution has stride 1, and blocks that widen have a shortcut as well.
"""

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torchvision import models
from torchvision.ops import Conv2dNormActivation

from bench_backbones.stems import SMALL_SIDE, fit_stem

EXPANSION, FEATURES = 6, 1280
CHANNELS = (16, 24, 32, 64, 96, 160, 320)  # of the stages, 1.0 wide
BLOCKS, STRIDES = (1, 2, 3, 4, 3, 3, 1), (1, 1, 2, 2, 1, 2, 1)

convolved = partial(Conv2dNormActivation, activation_layer=nn.ReLU)


@dataclass(frozen=True)
class Shape:
    """What the two networks for small images differ in.

    Attributes:
        width: of all but the last convolution, as a share of `CHANNELS`.
        stem_stride: of the first convolution.
        projected: blocks of stride 1 that widen have a shortcut too, through a 1x1 convolution.
        fan_out: He's first weights by fan-out and a narrow classifier, or else torch's own.
    """

    width: float
    stem_stride: int
    projected: bool
    fan_out: bool

    def channels(self, full: int) -> int:
        """So many of a full-width network."""
        return int(full * self.width)


HALF = Shape(width=0.5, stem_stride=2, projected=False, fan_out=True)
WHOLE = Shape(width=1.0, stem_stride=1, projected=True, fan_out=False)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project: float (B, inside, S, S) -> (B, outside, S / stride, S / stride)."""

    def __init__(self, inside: int, outside: int, *, stride: int, expansion: int, projected: bool = False) -> None:
        super().__init__()
        wide = inside * expansion
        self.residual = stride == 1 and (inside == outside or projected)
        self.layers = nn.Sequential(
            convolved(inside, wide, kernel_size=1),
            convolved(wide, wide, kernel_size=3, stride=stride, groups=wide),
            Conv2dNormActivation(wide, outside, kernel_size=1, activation_layer=None),
        )
        self.shortcut: nn.Module = nn.Identity()
        if self.residual and inside != outside:
            self.shortcut = Conv2dNormActivation(inside, outside, kernel_size=1, activation_layer=None)

    def forward(self, images: Tensor) -> Tensor:
        changed: Tensor = self.layers(images)
        return self.shortcut(images) + changed if self.residual else changed


class SmallMobileNet(nn.Module):
    """Images (B, channels, S, S) to logits (B, classes)."""

    def __init__(self, classes: int, channels: int, shape: Shape) -> None:
        super().__init__()
        self.stem = convolved(channels, shape.channels(32), kernel_size=3, stride=shape.stem_stride)
        self.blocks = nn.Sequential(*_blocks(shape))
        self.head = convolved(shape.channels(CHANNELS[-1]), FEATURES, kernel_size=1)
        self.classifier = nn.Linear(FEATURES, classes)
        if shape.fan_out:
            self.apply(_start)

    def forward(self, images: Tensor) -> Tensor:
        """float (B, channels, S, S) -> (B, classes)."""
        features: Tensor = self.head(self.blocks(self.stem(images)))
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits


def _blocks(shape: Shape) -> list[nn.Module]:
    blocks, inside = list[nn.Module](), shape.channels(32)
    for stage, (full, count, stride) in enumerate(zip(CHANNELS, BLOCKS, STRIDES, strict=True)):
        for index in range(count):
            how = {"stride": 1 if index else stride, "expansion": EXPANSION if stage else 1}
            outside = shape.channels(full)
            blocks.append(InvertedResidual(inside, outside, **how, projected=shape.projected))
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
    return SmallMobileNet(classes, channels, HALF) if resolution <= SMALL_SIDE else _torchvision_s(classes, channels)


def mobilenetv2_whole(classes: int, resolution: int, channels: int) -> nn.Module:
    """MobileNetV2, 1.0 wide, for images (B, channels, resolution, resolution), with logits (B, classes).

    Up to 64 pixels it halves the side three times, as CV-DD and FADRM train it there; above it is torchvision's own,
    whose published weights fit.
    """
    return SmallMobileNet(classes, channels, WHOLE) if resolution <= SMALL_SIDE else _torchvision_s(classes, channels)


def _torchvision_s(classes: int, channels: int) -> nn.Module:
    network: nn.Module = models.mobilenet_v2(weights=None, num_classes=classes)
    fit_stem(network, "features.0.0", in_channels=channels)
    return network
