"""DD-Ranking's scores of a condensed set, with their deviations, from accuracies that stand beside each other.

DD-Ranking (NUS-HPC-AI-Lab/DD-Ranking, README and ddranking/metrics) defines, of accuracies in [0, 1],

    HLR = full data, hard labels - set, hard labels          LRS = s(w IOR - (1 - w) HLR)
    IOR = set - random images under the same treatment       ARS = s(g IOR + (1 - g) IOR without augmentation)
    s(x) = (e^x - 1/e) / (e - 1/e), w = g = 1/2

so that s takes [-1, 1] to [0, 1]. Its released code (commit b8b0966) puts percentages into s: ten points above give
9,371, ten below -0.157, and of two sets that are below both get the same; its LRS for hard labels counts every training
twice. Here they are fractions, of means over trainings. Its protocol is another one, too (docs/measuring.md), so
neither score is to be held against its leaderboard.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WEIGHT = 0.5  # DD-Ranking's w and g


@dataclass(frozen=True)
class Accuracy:
    """One side of a difference.

    Attributes:
        of: what tells the trainings that it is of from others.
        mean: in percent.
        std: over trainings, in points; None of one training.
        constant: whether it is taken for a number without a spread where it has none.
    """

    of: object
    mean: float
    std: float | None
    constant: bool = False


@dataclass(frozen=True)
class Score:
    """A number with its deviation; None where a side has one training."""

    value: float
    std: float | None


def recovery(full: Accuracy, hard: Accuracy) -> Score:
    """HLR."""
    return _combined([(1.0, full), (-1.0, hard)])


def label_robust(mine: Accuracy, random: Accuracy, full: Accuracy, hard: Accuracy, weight: float = WEIGHT) -> Score:
    """LRS, in [0, 1]."""
    loss = 1 - weight
    return _normalised(_combined([(weight, mine), (-weight, random), (-loss, full), (loss, hard)]))


def augmentation_robust(
    mine: Accuracy, random: Accuracy, plain: Accuracy, plain_random: Accuracy, weight: float = WEIGHT
) -> Score:
    """ARS, in [0, 1]; the last two are of trainings without augmentation."""
    rest = 1 - weight
    return _normalised(_combined([(weight, mine), (-weight, random), (rest, plain), (-rest, plain_random)]))


def _combined(parts: Sequence[tuple[float, Accuracy]]) -> Score:
    """A sum of accuracies as fractions; trainings that stand in it twice vary together, all others apart."""
    shares: dict[object, float] = {}
    for share, side in parts:
        shares[side.of] = shares.get(side.of, 0.0) + share
    value = sum(share * side.mean for share, side in parts) / 100
    stds = {side.of: 0.0 if side.std is None and side.constant else side.std for _, side in parts}
    known = [share * std for of, share in shares.items() if (std := stds[of]) is not None]
    return Score(value, math.hypot(*known) / 100 if len(known) == len(shares) else None)


def _normalised(found: Score) -> Score:
    """s, and by the delta method the deviation of it: s'(x) = e^x / (e - 1/e)."""
    width = math.e - math.exp(-1)
    slope = math.exp(found.value) / width
    std = None if found.std is None else slope * found.std
    return Score((math.exp(found.value) - math.exp(-1)) / width, std)
