"""Whether two means differ, or are level."""

from collections.abc import Sequence
from typing import Any

LEVEL = 0.05  # of Welch's test: above it two means are level


def welch(first: Sequence[float], second: Sequence[float]) -> float | None:
    """p of Welch's test, two-sided; None where a side has one value, or neither varies."""
    if min(len(first), len(second)) < 2 or len({*first}) == len({*second}) == 1:
        return None
    from scipy.stats import ttest_ind

    found: Any = ttest_ind(first, second, equal_var=False)
    return float(found.pvalue)
