"""ConvNet-D of the DC family (Zhao, Mopuri and Bilen, ICLR 2021), by the rule of `bench_backbones.convnet_names`.

D blocks of 3x3 convolution (stride 1, padding 1, bias), norm, ReLU and 2x2 average pool, 128 wide unless the name says
otherwise, then one linear layer. "Instance norm" is GroupNorm with one channel a group, with affine parameters, as the
release has it. Gray 28x28 images are treated as 32x32: the first convolution pads by 3.

The family's tables change one part or another (VICO-UoE/DatasetCondensation, `networks.py` and `get_network`), and
names say which: the width ("-w64"), the norm ("-bn" is BatchNorm; "-ln" LayerNorm over channels, rows and columns, with
affine parameters for each; "-gn" GroupNorm of 4 groups; "-none"), the activation ("-sigmoid"; "-leaky" is LeakyReLU of
slope 0.01; "-swish" is x sigmoid(x)) and the pools ("-max"; "-nopool" leaves every map as large as the image). Its
ConvNetD1 is "convnet1", ConvNetW64 "convnet3-w64", ConvNetAL "convnet3-leaky", ConvNetASwishBN "convnet3-bn-swish",
ConvNetNL "convnet3-ln", ConvNetMP "convnet3-max". RDED's conv6 is "convnet6-bn".

G-VBSM and EDC call members of their pools ConvNetW128, ConvNetD1, ConvNetD2 and ConvNetW32. Their released code builds
all four with instance norm (`get_default_convnet_setting`), so what BatchNorm statistics match skips them there: here
`convnet3-w128` (which is `convnet3` under the pools' name), `convnet1`, `convnet2` and `convnet3-w32`. Those with
BatchNorm are `convnet3-bn`, `convnet1-bn`, `convnet2-bn` and `convnet3-w32-bn`. `convnet4-w32` and `convnet4-w32-bn`
are ours: the smallest that still look at 64 pixels whole.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import Tensor, nn

from bench.errors import UsageError
from bench_backbones.convnet_names import Shape, shape_of
from bench_backbones.norms import instance_norm

MNIST_SIDE = 28
PLACES = {"conv": "0", "norm": "1"}  # in a block, of what RDED keeps in lists of its own
GROUPS = 4  # of "-gn"
SLOPE = 0.01  # of "-leaky", below zero

NORMS: dict[str, Callable[[int, int], nn.Module]] = {
    "": lambda width, _: instance_norm(width),
    "bn": lambda width, _: nn.BatchNorm2d(width),
    "ln": lambda width, side: nn.LayerNorm([width, side, side]),
    "gn": lambda width, _: nn.GroupNorm(GROUPS, width),
    "none": lambda width, _: nn.Identity(),
}
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "": partial(nn.ReLU, inplace=True),
    "sigmoid": nn.Sigmoid,
    "leaky": partial(nn.LeakyReLU, SLOPE, inplace=True),
    "swish": nn.SiLU,
}
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "": partial(nn.AvgPool2d, kernel_size=2, stride=2),
    "max": partial(nn.MaxPool2d, kernel_size=2, stride=2),
    "nopool": nn.Identity,
}


class ConvNet(nn.Module):
    """Images (B, channels, resolution, resolution) to logits (B, classes)."""

    def __init__(self, classes: int, resolution: int, channels: int, shape: Shape) -> None:
        super().__init__()
        padded = padded_side(resolution, channels)
        self.stride = 2 + (shape.norm != "none") + _pools(shape)  # layers of a block, as DC counts them
        sides = [padded >> index if _pools(shape) else padded for index in range(shape.depth + 1)]
        first = _block(channels, shape, padded, 1 + (padded - resolution) // 2)
        self.blocks = nn.Sequential(first, *(_block(shape.width, shape, side, 1) for side in sides[1:-1]))
        self.classifier = nn.Linear(shape.width * sides[-1] ** 2, classes)

    def own_name(self, name: str) -> str:
        """What a weight is called here that DC and its heirs call features.4.weight, and RDED layers.conv.1.weight."""
        match name.split("."):
            case ["features", place, *rest] if place.isdecimal():
                block, within = divmod(int(place), self.stride)
                return ".".join(["blocks", str(block), str(within), *rest])
            case ["layers", "conv" | "norm" as kind, block, *rest]:
                return ".".join(["blocks", block, PLACES[kind], *rest])
        return name

    def forward(self, images: Tensor) -> Tensor:
        """float (B, channels, resolution, resolution) -> (B, classes)."""
        logits: Tensor = self.classifier(self.blocks(images).flatten(1))
        return logits


def _block(channels: int, shape: Shape, side: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, shape.width, kernel_size=3, padding=padding),
        NORMS[shape.norm](shape.width, side),
        ACTIVATIONS[shape.activation](),
        POOLINGS[shape.pooling](),
    )


def _pools(shape: Shape) -> bool:
    return shape.pooling != "nopool"


def padded_side(resolution: int, channels: int) -> int:
    """Pixels a side that the first block sees: of gray 28x28 images, 32."""
    return 32 if channels == 1 and resolution == MNIST_SIDE else resolution


def build(classes: int, resolution: int, channels: int, *, shape: Shape) -> ConvNet:
    """A ConvNet for images (B, channels, resolution, resolution), with logits (B, classes).

    Raises:
        UsageError: the resolution cannot be halved that often (the message names the deepest that fits), or the width
            is not that of 4 groups.
    """
    deepest = padded_side(resolution, channels).bit_length() - 1
    if _pools(shape) and deepest < shape.depth:
        need = f"{shape.name} needs images of at least {2**shape.depth} pixels a side, not {resolution}"
        fits = f"the deepest that fits is {replace(shape, depth=deepest).name}" if deepest else "no ConvNet fits"
        raise UsageError(f"{need}; {fits}")
    if shape.norm == "gn" and shape.width % GROUPS:
        raise UsageError(f"{shape.name}: group norm has {GROUPS} groups, and a width of {shape.width} is no multiple")
    return ConvNet(classes, resolution, channels, shape)


def __getattr__(name: str) -> Callable[[int, int, int], ConvNet]:
    """What builds the ConvNet of a name, as targets ask for it ("bench_backbones.convnet:convnet3-w32-bn")."""
    if (shape := shape_of(name)) is None:
        raise AttributeError(f"{__name__} has no {name!r}")
    return partial(build, shape=shape)
