"""Whether two means differ, or are level: Welch's test, which lets both sides have a spread of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

LEVEL = 0.05  # of Welch's test: above it two means are level
CONFIDENCE = 0.95  # of an interval


@dataclass(frozen=True)
class Difference:
    """The second mean minus the first, in their unit.

    Attributes:
        p: two-sided, of Welch's test; None where it says nothing: a side has one value, or neither varies.
        interval: in which the difference lies with `CONFIDENCE`; None as `p`.
    """

    value: float
    p: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def level(self) -> bool | None:
        """Whether the sides do not differ by the test; None where it says nothing."""
        return None if self.p is None else self.p > LEVEL


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """How the second values stand to the first; both have at least one."""
    value = fmean(second) - fmean(first)
    if min(len(first), len(second)) < 2 or len({*first}) == len({*second}) == 1:
        return Difference(value)
    from scipy.stats import ttest_ind

    found: Any = ttest_ind(second, first, equal_var=False)
    between = found.confidence_interval(CONFIDENCE)
    return Difference(value, float(found.pvalue), (float(between.low), float(between.high)))


def welch(first: Sequence[float], second: Sequence[float]) -> float | None:
    """p of Welch's test, two-sided; None where a side has one value, or neither varies."""
    return difference(first, second).p
