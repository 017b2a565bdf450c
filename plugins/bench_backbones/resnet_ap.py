"""ResNets with average pools in place of strides: IDC's ResNetAP-10 and the DC family's ResNet18_AP.

Basic blocks in four stages, 64, 128, 256 and 512 wide. A block that halves the map pools after its first convolution,
and its shortcut is a 1x1 convolution, pooled, and a norm. No convolution has a bias.

"resnet10-ap" (Kim et al., ICML 2022; DREAM has it too) has one block a stage and instance norm. Its stem is a 7x7
convolution and a pool of 4 above 128 pixels, a 3x3 one and a pool of 2 above 64, and a 3x3 one alone up to there; what
the last block leaves is averaged. Convolutions start from N(0, 2 / (k k out)), as in the release.

"resnet18-ap" and "resnet18-ap-bn" (VICO-UoE/DatasetCondensation: ResNet18_AP, with instance norm, and ResNet18BN_AP)
have two blocks a stage and a 3x3 stem without a pool at every resolution; their classifier reads all that the last
block leaves, 4x4 of 32 pixels. First weights are torch's own.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import UsageError
from bench_backbones.norms import instance_norm
from bench_backbones.stems import SMALL_SIDE

WIDTHS = (64, 128, 256, 512)
MIDDLE_SIDE = 128  # up to here stems are 3x3
SMALLEST = 16  # below, the last norm would see one pixel, which instance norm takes for all

Norm = Callable[[int], nn.Module]


def _convolution(inside: int, outside: int, side: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, side, padding=side // 2, bias=False)


class PooledBlock(nn.Module):
    """float (B, inside, S, S) -> (B, outside, S / pool, S / pool)."""

    def __init__(self, inside: int, outside: int, pool: int, norm: Norm) -> None:
        super().__init__()
        self.convolution1, self.norm1 = _convolution(inside, outside), norm(outside)
        self.convolution2, self.norm2 = _convolution(outside, outside), norm(outside)
        self.pool = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        shortcut = (_convolution(inside, outside, 1), nn.AvgPool2d(pool), norm(outside))
        self.shortcut = nn.Sequential(*shortcut) if pool > 1 else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        changed = self.pool(F.relu(self.norm1(self.convolution1(images))))
        total: Tensor = self.norm2(self.convolution2(changed)) + self.shortcut(images)
        return F.relu(total)


def _blocks(each: int, norm: Norm) -> nn.Sequential:
    """So many a stage, of which the first halves the map in all stages but the first."""
    blocks = list[nn.Module]()
    for inside, outside in pairwise((WIDTHS[0], *WIDTHS)):
        further = (PooledBlock(outside, outside, 1, norm) for _ in range(each - 1))
        blocks += [PooledBlock(inside, outside, 2 if blocks else 1, norm), *further]
    return nn.Sequential(*blocks)


class ResNetAP10(nn.Module):
    """Images (B, channels, S, S) to logits (B, classes)."""

    def __init__(self, classes: int, resolution: int, channels: int) -> None:
        super().__init__()
        side, pool = (7, 4) if resolution > MIDDLE_SIDE else (3, 2) if resolution > SMALL_SIDE else (3, 1)
        first = WIDTHS[0]
        self.stem = nn.Sequential(
            _convolution(channels, first, side), instance_norm(first), nn.ReLU(), nn.AvgPool2d(pool)
        )
        self.blocks = _blocks(1, instance_norm)
        self.classifier = nn.Linear(WIDTHS[-1], classes)
        self.apply(_start)

    def forward(self, images: Tensor) -> Tensor:
        """float (B, channels, S, S) -> (B, classes)."""
        logits: Tensor = self.classifier(self.blocks(self.stem(images)).mean((2, 3)))
        return logits


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0, math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels)))


def _check_side(name: str, resolution: int) -> None:
    if resolution < SMALLEST:
        raise UsageError(f"{name} needs images of at least {SMALLEST} pixels a side, not {resolution}")


def resnet10_ap(classes: int, resolution: int, channels: int) -> nn.Module:
    """ResNetAP-10 for images (B, channels, resolution, resolution), with logits (B, classes).

    Raises:
        UsageError: fewer than 16 pixels a side.
    """
    _check_side("resnet10-ap", resolution)
    return ResNetAP10(classes, resolution, channels)


def build18(classes: int, resolution: int, channels: int, *, name: str, norm: Norm) -> nn.Module:
    """ResNet-18 with average pools for images (B, channels, resolution, resolution), with logits (B, classes).

    The DC family's, at every resolution: a 3x3 stem, and a classifier of all that the last block leaves.

    Raises:
        UsageError: fewer than 16 pixels a side.
    """
    _check_side(name, resolution)
    first, left = WIDTHS[0], resolution >> (len(WIDTHS) - 1)
    return nn.Sequential(
        *(_convolution(channels, first), norm(first), nn.ReLU()),
        _blocks(2, norm),
        nn.Flatten(),
        nn.Linear(WIDTHS[-1] * left * left, classes),
    )


resnet18_ap = partial(build18, name="resnet18-ap", norm=instance_norm)
resnet18_ap_bn = partial(build18, name="resnet18-ap-bn", norm=nn.BatchNorm2d)
