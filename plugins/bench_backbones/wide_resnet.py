"""Wide ResNet 16-2 (Zagoruyko and Komodakis, BMVC 2016), made for 32 pixels and the same at every resolution.

Pre-activation blocks of two 3x3 convolutions, two a stage, 32, 64 and 128 wide; without dropout. It has 691,674
parameters for 10 classes, 703,284 for 100 (as in G-VBSM and EDC, who take it at 64 pixels as it is).
"""

from torch import Tensor, nn
from torch.nn import functional as F

STEM, WIDTHS, BLOCKS = 16, (32, 64, 128), 2


def _convolution(inside: int, outside: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, kernel_size=3, stride=stride, padding=1, bias=False)


class PreActivationBlock(nn.Module):
    """float (B, inside, S, S) -> (B, outside, S / stride, S / stride).

    A block that changes the width shortcuts what its first norm and ReLU give, through a 1x1 convolution.
    """

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.convolution1 = nn.BatchNorm2d(inside), _convolution(inside, outside, stride)
        self.norm2, self.convolution2 = nn.BatchNorm2d(outside), _convolution(outside, outside)
        self.shortcut = nn.Conv2d(inside, outside, 1, stride, bias=False) if inside != outside else None

    def forward(self, images: Tensor) -> Tensor:
        active = F.relu(self.norm1(images))
        changed = self.convolution2(F.relu(self.norm2(self.convolution1(active))))
        kept = images if self.shortcut is None else self.shortcut(active)
        total: Tensor = kept + changed
        return total


class WideResNet(nn.Module):
    """Images (B, channels, S, S) to logits (B, classes)."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.stem = _convolution(channels, STEM)
        self.blocks = nn.Sequential(*_blocks())
        self.norm = nn.BatchNorm2d(WIDTHS[-1])
        self.classifier = nn.Linear(WIDTHS[-1], classes)
        self.apply(_start)

    def forward(self, images: Tensor) -> Tensor:
        """float (B, channels, S, S) -> (B, classes)."""
        features = F.relu(self.norm(self.blocks(self.stem(images))))
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits


def _blocks() -> list[nn.Module]:
    blocks, inside = list[nn.Module](), STEM
    for stage, outside in enumerate(WIDTHS):
        for index in range(BLOCKS):
            blocks.append(PreActivationBlock(inside, outside, stride=2 if stage and not index else 1))
            inside = outside
    return blocks


def _start(module: nn.Module) -> None:
    """He's first weights, by fan-out."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
    elif isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def wrn_16_2(classes: int, resolution: int, channels: int) -> nn.Module:
    """WRN-16-2 for images (B, channels, resolution, resolution), with logits (B, classes).

    It is the same at every resolution: the side is halved twice, and what is left is averaged.
    """
    return WideResNet(classes, channels)
