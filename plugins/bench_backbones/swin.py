"""Swin-T (Liu et al., ICCV 2021) of torchvision at every resolution, with the stochastic depth of timm's.

Blocks are left out with probabilities that rise from 0 to 0.1. So has it timm by default, whose network G-VBSM's code
trains from nothing; torchvision's `swin_t` rises to 0.2. Only training sees the difference: the tensors are the same,
and torchvision's published weights fit. Records say `stochastic_depth` under `networks`; those that do not are of 0.2,
the first version of this network, whose teachers and trainings are not taken for those of this one.

Its patches of 4 pixels are merged three times, so it needs 32 pixels; no release that is compared here trains it on
fewer than 224.
"""

from torch import nn
from torchvision.models import SwinTransformer

from bench.errors import UsageError
from bench_backbones.stems import fit_stem

SMALLEST = 32
DEPTH = 0.1  # the probability at which the last block is left out


def swin_tiny(classes: int, resolution: int, channels: int) -> nn.Module:
    """Swin-T for images (B, channels, resolution, resolution), with logits (B, classes).

    Stochastic depth is 0.1 at the last block, as in timm's network, which G-VBSM's code trains; torchvision's has 0.2.

    Raises:
        UsageError: fewer than 32 pixels a side.
    """
    if resolution < SMALLEST:
        raise UsageError(f"swin-tiny needs images of at least {SMALLEST} pixels a side, not {resolution}")
    network: nn.Module = SwinTransformer(
        patch_size=[4, 4],
        embed_dim=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=[7, 7],
        stochastic_depth_prob=DEPTH,
        num_classes=classes,
    )
    fit_stem(network, "features.0.0", in_channels=channels)
    network.facts = {"stochastic_depth": DEPTH}  # type: ignore[assignment]
    return network
