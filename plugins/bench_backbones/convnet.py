"""ConvNet-D of the DC family (Zhao, Mopuri and Bilen, ICLR 2021).

D blocks of 3x3 convolution (stride 1, padding 1, bias), norm, ReLU and 2x2 average pool, 128 wide throughout, then one
linear layer. "Instance norm" is GroupNorm with one channel a group, with affine parameters, as the release has it. Gray
28x28 images are treated as 32x32: the first convolution pads by 3.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from bench.errors import UsageError

WIDTH = 128
SHALLOWEST = 3
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

    def __init__(self, classes: int, resolution: int, channels: int, *, depth: int, norm: Norm) -> None:
        super().__init__()
        padded = _side(resolution, channels)
        padding, side = 1 + (padded - resolution) // 2, padded >> depth
        first = _block(channels, norm, padding)
        self.blocks = nn.Sequential(first, *(_block(WIDTH, norm, 1) for _ in range(depth - 1)))
        self.classifier = nn.Linear(WIDTH * side * side, classes)

    def forward(self, images: Tensor) -> Tensor:
        """float (B, channels, resolution, resolution) -> (B, classes)."""
        logits: Tensor = self.classifier(self.blocks(images).flatten(1))
        return logits


def _block(channels: int, norm: Norm, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, WIDTH, kernel_size=3, padding=padding),
        norm(WIDTH),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(kernel_size=2, stride=2),
    )


def _side(resolution: int, channels: int) -> int:
    return 32 if channels == 1 and resolution == MNIST_SIDE else resolution


def build(classes: int, resolution: int, channels: int, *, depth: int, variant: str) -> ConvNet:
    """The ConvNet called "convnet<depth><variant>".

    Raises:
        UsageError: the resolution cannot be halved that often; the message names the deepest that fits.
    """
    deepest = _side(resolution, channels).bit_length() - 1
    if deepest < depth:
        need = f"convnet{depth}{variant} needs images of at least {2**depth} pixels a side, not {resolution}"
        fits = f"the deepest that fits is convnet{deepest}{variant}" if deepest >= SHALLOWEST else "no ConvNet fits"
        raise UsageError(f"{need}; {fits}")
    return ConvNet(classes, resolution, channels, depth=depth, norm=NORMS[variant])


NORMS: dict[str, Norm] = {"": instance_norm, "-bn": nn.BatchNorm2d, "-none": no_norm}

convnet3 = partial(build, depth=3, variant="")
convnet4 = partial(build, depth=4, variant="")
convnet5 = partial(build, depth=5, variant="")
convnet3_bn = partial(build, depth=3, variant="-bn")
convnet4_bn = partial(build, depth=4, variant="-bn")
convnet5_bn = partial(build, depth=5, variant="-bn")
convnet3_none = partial(build, depth=3, variant="-none")
convnet4_none = partial(build, depth=4, variant="-none")
