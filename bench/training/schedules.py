"""Learning-rate schedules, stepped once an epoch or once a batch, as pure functions of the epoch.

Warm-up follows torch's `SequentialLR` of `LinearLR(start_factor, total_iters=w)` and `CosineAnnealingLR(T_max=n - w)`
with its milestone at w, as in torchvision's reference training, which SRe2L's Tiny-ImageNet recipe builds on: epoch 0
runs at `warmup_factor` times the rate, the factor rises in w equal steps, epoch w is the first at the full rate, and
the schedule covers the n - w epochs from there.
"""

import math

from bench.training.recipes import TrainingRecipe

STEP_FACTOR = 0.1
TURN = 5 / 6  # of the epochs: where `cosine-linear` leaves its cosine


def multiplier(recipe: TrainingRecipe, epoch: float) -> float:
    """What the recipe's learning rate is multiplied by in an epoch (0-based; 0.5 is half through the first): [0, 1]."""
    if epoch < recipe.warmup_epochs:
        return recipe.warmup_factor + (1 - recipe.warmup_factor) * epoch / recipe.warmup_epochs
    position, length = epoch - recipe.warmup_epochs, recipe.epochs - recipe.warmup_epochs
    match recipe.schedule:
        case "cosine":
            return recipe.floor + (1 - recipe.floor) * _cosine(position / (recipe.zeta * length))
        case "half-cosine":
            return _cosine(position / (2 * length))
        case "cosine-linear":
            return _cosine_linear(position / length, recipe.zeta)
        case "step":
            return STEP_FACTOR if position >= _drop(length) else 1.0
        case "multistep":
            return recipe.milestone_factor ** sum(position >= round(share * length) for share in recipe.milestones)
        case "constant":
            return 1.0


def resets_momentum(recipe: TrainingRecipe, epoch: int) -> bool:
    """Whether the optimiser starts the epoch without memory: the DC family builds a new SGD where the rate drops."""
    length = recipe.epochs - recipe.warmup_epochs
    return recipe.schedule == "step" and epoch - recipe.warmup_epochs == _drop(length)


def _cosine(fraction: float) -> float:
    return (1 + math.cos(math.pi * fraction)) / 2


def _cosine_linear(fraction: float, zeta: float) -> float:
    """EDC's code: where it turns it falls at once to a sixth, for the line to 0 is that of the whole training."""
    return _cosine(fraction / zeta) if fraction <= TURN else _cosine(TURN / zeta) * (1 - fraction)


def _drop(length: int) -> int:
    """The epoch at which `step` drops. The DC release runs that epoch at the old rate, and one epoch more in all."""
    return length // 2 + 1
