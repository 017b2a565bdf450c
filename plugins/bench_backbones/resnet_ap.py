"""ResNetAP-10 of IDC (Kim et al., ICML 2022; DREAM has it too): instance norm, and average pools in place of strides.

One basic block a stage, 64, 128, 256 and 512 wide. A block that halves the map pools after its first convolution, and
its shortcut is a 1x1 convolution, pooled, and a norm. The stem is a 7x7 convolution and a pool of 4 above 128 pixels, a
3x3 one and a pool of 2 above 64, and a 3x3 one alone up to there. No convolution has a bias. Convolutions start from
N(0, 2 / (k k out)), as in the release.
"""

import math

from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import UsageError
from bench_backbones.norms import instance_norm
from bench_backbones.stems import SMALL_SIDE

WIDTHS = (64, 128, 256, 512)
MIDDLE_SIDE = 128  # up to here stems are 3x3
SMALLEST = 16  # below, the last norm would see one pixel, which it takes for all


def _convolution(inside: int, outside: int, side: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, side, padding=side // 2, bias=False)


class PooledBlock(nn.Module):
    """float (B, inside, S, S) -> (B, outside, S / pool, S / pool)."""

    def __init__(self, inside: int, outside: int, pool: int) -> None:
        super().__init__()
        self.convolution1, self.norm1 = _convolution(inside, outside), instance_norm(outside)
        self.convolution2, self.norm2 = _convolution(outside, outside), instance_norm(outside)
        self.pool = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        shortcut = (_convolution(inside, outside, 1), nn.AvgPool2d(pool), instance_norm(outside))
        self.shortcut = nn.Sequential(*shortcut) if pool > 1 else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        changed = self.pool(F.relu(self.norm1(self.convolution1(images))))
        total: Tensor = self.norm2(self.convolution2(changed)) + self.shortcut(images)
        return F.relu(total)


class ResNetAP10(nn.Module):
    """Images (B, channels, S, S) to logits (B, classes)."""

    def __init__(self, classes: int, resolution: int, channels: int) -> None:
        super().__init__()
        side, pool = (7, 4) if resolution > MIDDLE_SIDE else (3, 2) if resolution > SMALL_SIDE else (3, 1)
        first = WIDTHS[0]
        self.stem = nn.Sequential(
            _convolution(channels, first, side), instance_norm(first), nn.ReLU(), nn.AvgPool2d(pool)
        )
        pairs = zip((first, *WIDTHS), WIDTHS, strict=False)
        self.blocks = nn.Sequential(*(PooledBlock(*pair, 1 + bool(stage)) for stage, pair in enumerate(pairs)))
        self.classifier = nn.Linear(WIDTHS[-1], classes)
        self.apply(_start)

    def forward(self, images: Tensor) -> Tensor:
        """float (B, channels, S, S) -> (B, classes)."""
        logits: Tensor = self.classifier(self.blocks(self.stem(images)).mean((2, 3)))
        return logits


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0, math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels)))


def resnet10_ap(classes: int, resolution: int, channels: int) -> nn.Module:
    """ResNetAP-10 for images (B, channels, resolution, resolution), with logits (B, classes).

    Raises:
        UsageError: fewer than 16 pixels a side.
    """
    if resolution < SMALLEST:
        raise UsageError(f"resnet10-ap needs images of at least {SMALLEST} pixels a side, not {resolution}")
    return ResNetAP10(classes, resolution, channels)
