"""DeiT-Tiny and BN-ViT-Tiny, built through timm from random weights; nothing is downloaded.

Both have DeiT-Tiny's shape: width 192, depth 12, 3 heads, feed-forward networks four times as wide, a class token,
learned positions. DeiT's stochastic depth is left out: it belongs to DeiT's recipe, and a network that had it
would have it as a student of every protocol.
"""

from typing import Any

import timm
from torch import Tensor, nn

from bench.errors import UsageError

TINY = "deit_tiny_patch16_224"
LARGEST_PATCH, SMALLEST_PATCH = 16, 2  # pixels a side
SHARE = 8  # a patch is at most an eighth of the side: as at 64 and 32 pixels, so that small images are many tokens
MOST_PATCHES = 24  # a side: DeiT's own at its largest, 384 pixels


class TokenBatchNorm(nn.Module):
    """BatchNorm of tokens (B, N, D), the same shape: a mean and a variance a channel, over images and tokens.

    The BatchNorm1d inside sees (B * N, D), image after image, so whoever watches its input finds channels in the second
    axis, and the tokens of a group of images next to one another in the first.
    """

    def __init__(self, channels: int, **placement: Any) -> None:  # noqa: ANN401 - timm's device and dtype
        super().__init__()
        self.norm = nn.BatchNorm1d(channels, **placement)

    def forward(self, tokens: Tensor) -> Tensor:
        """float (B, N, D) -> (B, N, D)."""
        normalised: Tensor = self.norm(tokens.flatten(0, 1))
        return normalised.view(tokens.shape)


class NormalisedMlp(nn.Module):
    """The feed-forward network of BN-ViT: GELU(BN(h W1 + b1)) W2 + b2 (SRe2L, "BN-ViT Model Structure")."""

    def __init__(self, in_features: int, hidden_features: int, **others: Any) -> None:  # noqa: ANN401 - as timm calls it
        super().__init__()
        self.fc1 = nn.Linear(in_features, hidden_features)
        self.norm = TokenBatchNorm(hidden_features)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_features, in_features)

    def forward(self, tokens: Tensor) -> Tensor:
        """float (B, N, D) -> (B, N, D)."""
        mixed: Tensor = self.fc2(self.act(self.norm(self.fc1(tokens))))
        return mixed


def deit_tiny(classes: int, resolution: int, channels: int) -> nn.Module:
    """DeiT-Tiny: images (B, channels, resolution, resolution) to logits (B, classes).

    A patch is the largest whole share of the side that is at most an eighth of it, from 2 to 16 pixels: 16 at 224
    pixels, 8 at 64, 4 at 32, 2 at 16 and 8.

    Raises:
        UsageError: the side has no such share; the message names the nearest side that has.
    """
    return _built("deit-tiny", classes, resolution, channels)


def bn_vit_tiny(classes: int, resolution: int, channels: int) -> nn.Module:
    """DeiT-Tiny with BatchNorm: images (B, channels, resolution, resolution) to logits (B, classes).

    Every LayerNorm is a BatchNorm over images and tokens, the final one too, and each feed-forward network has one
    more between its first linear layer and its GELU: 37 in all. Patches are `deit-tiny`'s: the largest whole share of
    the side that is at most an eighth of it, from 2 to 16 pixels.

    Raises:
        UsageError: the side has no such share; the message names the nearest side that has.
    """
    return _built("bn-vit-tiny", classes, resolution, channels, norm_layer=TokenBatchNorm, mlp_layer=NormalisedMlp)


def patch_size(resolution: int) -> int | None:
    """Pixels a side of the patches that images are cut into, or None where no size fits."""
    most = min(max(resolution // SHARE, SMALLEST_PATCH), LARGEST_PATCH)
    fitting = (size for size in range(most, SMALLEST_PATCH - 1, -1) if resolution % size == 0)
    size = next(fitting, None)
    return size if size and resolution // size <= MOST_PATCHES else None


def _built(name: str, classes: int, resolution: int, channels: int, **layers: Any) -> nn.Module:  # noqa: ANN401
    size = patch_size(resolution)
    if size is None:
        fits = min((side for side in range(2, 385) if patch_size(side)), key=lambda side: abs(side - resolution))
        raise UsageError(
            f"{name} cannot cut images of {resolution} pixels a side into patches of {SMALLEST_PATCH} to "
            f"{LARGEST_PATCH} pixels, at most {MOST_PATCHES} a side; the nearest side that it can is {fits}"
        )
    network = timm.create_model(
        TINY, img_size=resolution, patch_size=size, in_chans=channels, num_classes=classes, **layers
    )
    assert isinstance(network, nn.Module)
    network.facts = {"patch_size": size}  # type: ignore[assignment]
    return network
