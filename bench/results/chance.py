"""Whether an accuracy is above chance: how often guessing does as well on as many images."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MOSTLY = 75.0  # percent
LEVEL = 0.01  # so seldom does a network that knows nothing pass for one that knows something


def largest_share(labels: "Tensor") -> float:
    """The percentage of the most frequent class among int64 labels (N,): what it gives to answer that class always."""
    return 100 * int(labels.bincount().max()) / len(labels)


def is_no_better(top1: float, images: int, share: float) -> bool:
    """Whether an accuracy is not significantly above that of a guess.

    Args:
        top1: in percent.
        images: how many were tested on.
        share: percentage of the most frequent class among them (`largest_share`); no guess does better.
    """
    return _at_least(round(top1 / 100 * images), images, share / 100) > LEVEL


def are_no_better(hits: "Tensor", share: float) -> bool:
    """Whether answers that ought to hit mostly do so no more often than a guess.

    A handful that all hit prove little, and are no reason for doubt.

    Args:
        hits: bool (N,).
        share: as `is_no_better` has it.
    """
    top1 = 100 * float(hits.float().mean())
    return top1 < MOSTLY and is_no_better(top1, len(hits), share)


def _at_least(hits: int, trials: int, chance: float) -> float:
    """The probability of so many hits or more, or 1 where so many are to be expected: the tail of the binomial.

    Above the mean each term is smaller than the one before, so the sum soon ends.
    """
    if hits <= trials * chance:
        return 1.0
    ways = math.lgamma(trials + 1) - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1)
    term = math.exp(ways + hits * math.log(chance) + (trials - hits) * math.log1p(-chance))
    total = 0.0
    while term > total * 1e-12:
        total += term
        term *= (trials - hits) / (hits + 1) * chance / (1 - chance)
        hits += 1
    return total
