"""FRePo's `conv` (Zhou, Nezhadarya and Ba, NeurIPS 2022; released code: yongchao97/FRePo, `lib/models/networks.py`).

Blocks of 3x3 convolution (stride 1, padding 1, bias), ReLU and 2x2 average pool, 128 wide and twice as wide from block
to block, then one linear layer: three blocks up to 32 pixels, four up to 64, five above, as the paper has them. With
BatchNorm, which the release has while it condenses, each convolution but the first is preceded by one: what enters
the classifier is a pooled ReLU, not normalised. Networks that are tested have none. Gray 28x28 images are treated as
32x32: the first convolution pads by 3.

As flax does by itself, and so the release: weights are drawn from a normal distribution of variance 1 / fan-in, cut
off at two deviations, biases are 0, and BatchNorm's running statistics move nine tenths of the way to those of a batch
(flax calls that a momentum of 0.1). torch's running variance divides by n - 1 and flax's by n, of at least hundreds.
"""

import math
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from bench.errors import UsageError
from bench_backbones.convnet import padded_side

WIDTH = 128  # of the first block
MOMENTUM = 0.9  # of BatchNorm, as torch counts it
CUT = 2.0  # deviations
KEPT = 0.87962566  # the deviation of a standard normal distribution that is cut off there


class FRePoConv(nn.Module):
    """Images (B, channels, resolution, resolution) to logits (B, classes).

    Attributes:
        facts: how many blocks the resolution asked for.
    """

    def __init__(self, classes: int, resolution: int, channels: int, *, norm: bool) -> None:
        super().__init__()
        padded = padded_side(resolution, channels)
        depth = blocks_for(padded)
        widths = [WIDTH << index for index in range(depth)]
        first = _block(channels, WIDTH, 1 + (padded - resolution) // 2, norm=False)
        further = (_block(inner, outer, 1, norm=norm) for inner, outer in pairwise(widths))
        self.blocks = nn.Sequential(first, *further)
        self.classifier = nn.Linear(widths[-1] * (padded >> depth) ** 2, classes)
        self.facts = {"blocks": depth}
        self.apply(_draw)

    def forward(self, images: Tensor) -> Tensor:
        """float (B, channels, resolution, resolution) -> (B, classes)."""
        logits: Tensor = self.classifier(self.blocks(images).flatten(1))
        return logits


def blocks_for(side: int) -> int:
    """How many blocks images of so many pixels a side go through."""
    return 3 if side <= 32 else 4 if side <= 64 else 5


def _block(inner: int, outer: int, padding: int, *, norm: bool) -> nn.Sequential:
    before = [nn.BatchNorm2d(inner, momentum=MOMENTUM)] if norm else []
    convolution = nn.Conv2d(inner, outer, kernel_size=3, padding=padding)
    return nn.Sequential(*before, convolution, nn.ReLU(inplace=True), nn.AvgPool2d(kernel_size=2, stride=2))


def _draw(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        deviation = 1 / (KEPT * math.sqrt(module.weight[0].numel()))
        nn.init.trunc_normal_(module.weight, std=deviation, a=-CUT * deviation, b=CUT * deviation)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


def build(classes: int, resolution: int, channels: int, *, norm: bool) -> FRePoConv:
    """FRePo's network for the resolution. Raises UsageError: it cannot be halved three times."""
    if resolution < 8:
        name = "frepo-conv-bn" if norm else "frepo-conv"
        raise UsageError(f"{name} needs images of at least 8 pixels a side, not {resolution}")
    return FRePoConv(classes, resolution, channels, norm=norm)


frepo_conv = partial(build, norm=False)
frepo_conv_bn = partial(build, norm=True)
