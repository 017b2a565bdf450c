"""ConvNet-D of the DC family (Zhao, Mopuri and Bilen, ICLR 2021).

D blocks of 3x3 convolution (stride 1, padding 1, bias), norm, ReLU and 2x2 average pool, 128 wide unless the name says
otherwise, then one linear layer. "Instance norm" is GroupNorm with one channel a group, with affine parameters, as the
release has it. Gray 28x28 images are treated as 32x32: the first convolution pads by 3.

G-VBSM and EDC call members of their pools ConvNetW128, ConvNetD1, ConvNetD2 and ConvNetW32. Their released code builds
all four with instance norm (`get_default_convnet_setting`), so what BatchNorm statistics match skips them there: here
`convnet3-w128` (which is `convnet3` under the pools' name), `convnet1`, `convnet2` and `convnet3-w32`. Those with
BatchNorm are `convnet3-bn`, `convnet1-bn`, `convnet2-bn` and `convnet3-w32-bn`. `convnet4-w32` and `convnet4-w32-bn`
are ours: the smallest that still look at 64 pixels whole.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from bench.errors import UsageError

WIDTH = 128
MNIST_SIDE = 28

Norm = Callable[[int], nn.Module]


def instance_norm(channels: int) -> nn.Module:
    """One group a channel, affine."""
    return nn.GroupNorm(channels, channels, affine=True)


def no_norm(channels: int) -> nn.Module:
    """Nothing."""
    return nn.Identity()


class ConvNet(nn.Module):
    """Images (B, channels, resolution, resolution) to logits (B, classes)."""

    def __init__(
        self, classes: int, resolution: int, channels: int, *, depth: int, norm: Norm, width: int = WIDTH
    ) -> None:
        super().__init__()
        padded = padded_side(resolution, channels)
        padding, side = 1 + (padded - resolution) // 2, padded >> depth
        first = _block(channels, width, norm, padding)
        self.blocks = nn.Sequential(first, *(_block(width, width, norm, 1) for _ in range(depth - 1)))
        self.classifier = nn.Linear(width * side * side, classes)

    def forward(self, images: Tensor) -> Tensor:
        """float (B, channels, resolution, resolution) -> (B, classes)."""
        logits: Tensor = self.classifier(self.blocks(images).flatten(1))
        return logits


def _block(channels: int, width: int, norm: Norm, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel_size=3, padding=padding),
        norm(width),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(kernel_size=2, stride=2),
    )


def padded_side(resolution: int, channels: int) -> int:
    """Pixels a side that the first block sees: of gray 28x28 images, 32."""
    return 32 if channels == 1 and resolution == MNIST_SIDE else resolution


def build(classes: int, resolution: int, channels: int, *, depth: int, variant: str, width: int = WIDTH) -> ConvNet:
    """The ConvNet called "convnet<depth><variant>", or "convnet<depth>-w<width><variant>".

    Raises:
        UsageError: the resolution cannot be halved that often; the message names the deepest that fits.
    """
    deepest = padded_side(resolution, channels).bit_length() - 1
    if deepest < depth:
        name = f"convnet{depth}{variant}" if width == WIDTH else f"convnet{depth}-w{width}{variant}"
        need = f"{name} needs images of at least {2**depth} pixels a side, not {resolution}"
        fits = f"the deepest that fits is convnet{deepest}{variant}"
        raise UsageError(f"{need}; {fits if deepest >= SHALLOWEST[variant] else 'no ConvNet fits'}")
    return ConvNet(classes, resolution, channels, depth=depth, norm=NORMS[variant], width=width)


NORMS: dict[str, Norm] = {"": instance_norm, "-bn": nn.BatchNorm2d, "-none": no_norm}
SHALLOWEST = {"": 1, "-bn": 1, "-none": 3}  # blocks of those that are offered

convnet1 = partial(build, depth=1, variant="")
convnet2 = partial(build, depth=2, variant="")
convnet3 = partial(build, depth=3, variant="")
convnet4 = partial(build, depth=4, variant="")
convnet5 = partial(build, depth=5, variant="")
convnet1_bn = partial(build, depth=1, variant="-bn")
convnet2_bn = partial(build, depth=2, variant="-bn")
convnet3_bn = partial(build, depth=3, variant="-bn")
convnet4_bn = partial(build, depth=4, variant="-bn")
convnet5_bn = partial(build, depth=5, variant="-bn")
convnet3_none = partial(build, depth=3, variant="-none")
convnet4_none = partial(build, depth=4, variant="-none")
convnet3_w32 = partial(build, depth=3, variant="", width=32)
convnet3_w32_bn = partial(build, depth=3, variant="-bn", width=32)
convnet4_w32 = partial(build, depth=4, variant="", width=32)
convnet4_w32_bn = partial(build, depth=4, variant="-bn", width=32)
