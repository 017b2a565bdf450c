"""The DC family's MLP and LeNet (VICO-UoE/DatasetCondensation), which its cross-architecture tables have.

- `mlp`: three linear layers with ReLU between, 128 wide, on the pixels.
- `lenet`: LeNet-5 (LeCun et al., 1998) with ReLU and max-pools. 5x5 convolutions without padding, of 6 and 16 channels,
  and linear layers of 120 and 84. Gray 28x28 images are treated as 32x32: the first convolution pads by 2. At other
  resolutions than 32, where the release's would not fit, the first linear layer is as wide as what is left.
"""

from torch import nn

from bench.errors import UsageError
from bench_backbones.convnet import padded_side

WIDTH = 128  # of the MLP
SMALLEST = 16  # pixels: below, LeNet's second pool has nothing left


def mlp(classes: int, resolution: int, channels: int) -> nn.Module:
    """Three linear layers for images (B, channels, resolution, resolution), with logits (B, classes)."""
    pixels = channels * resolution * resolution
    layers = (nn.Linear(pixels, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(WIDTH, classes))


def lenet(classes: int, resolution: int, channels: int) -> nn.Module:
    """LeNet for images (B, channels, resolution, resolution), with logits (B, classes).

    Raises:
        UsageError: fewer than 16 pixels a side.
    """
    if resolution < SMALLEST:
        raise UsageError(f"lenet needs images of at least {SMALLEST} pixels a side, not {resolution}")
    side = padded_side(resolution, channels)
    left = ((side - 4) // 2 - 4) // 2
    return nn.Sequential(
        *_convolution(channels, 6, (side - resolution) // 2),
        *_convolution(6, 16, 0),
        nn.Flatten(),
        *(nn.Linear(16 * left * left, 120), nn.ReLU()),
        *(nn.Linear(120, 84), nn.ReLU()),
        nn.Linear(84, classes),
    )


def _convolution(inside: int, outside: int, padding: int) -> list[nn.Module]:
    return [nn.Conv2d(inside, outside, kernel_size=5, padding=padding), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
