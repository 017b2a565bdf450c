"""Whether two means differ, or are level: Welch's test, which lets both sides have a spread of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import frexp, sqrt

from bench.results.metrics import mean

LEVEL = 0.05  # of Welch's test: above it two means do not differ by it
CONFIDENCE = 0.95  # of an interval
WIDE = 1.0  # point: gains of one are published, so two means are called level where the interval reaches no further


@dataclass(frozen=True)
class Difference:
    """The second mean minus the first, in their unit.

    Attributes:
        value: infinite where it is more than a float holds; so may be the ends of the interval.
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

    @property
    def undecided(self) -> bool:
        """Whether the test finds no difference and leaves room for one of more than `WIDE` points.

        No difference is then shown, nor is it shown that there is none: 40, 41, 42 and 42, 43, 44 have p 0.07, and two
        trainings of 30.8 and 88.9 % may have 0.06.
        """
        return bool(self.level and self.interval and max(map(abs, self.interval)) > WIDE)


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """How the second values stand to the first; both have at least one."""
    value = mean(second) - mean(first)
    if min(len(first), len(second)) < 2 or len({*first}) == len({*second}) == 1:
        return Difference(value)
    from scipy.special import stdtr, stdtrit

    unit = 2.0 ** (frexp(max(map(abs, (*first, *second))))[1] - 1)  # exact: no square of what is over it overflows
    (middle, error), (other_middle, other_error) = _of_mean(second, unit), _of_mean(first, unit)
    apart, error_2 = middle - other_middle, error + other_error
    squares = error**2 / (len(second) - 1) + other_error**2 / (len(first) - 1)
    if not squares:  # what varies does so by less than a float can hold
        return Difference(value)
    freedom = error_2**2 / squares
    p = float(2 * stdtr(freedom, -abs(apart / sqrt(error_2))))
    ends = stdtrit(freedom, [(1 - CONFIDENCE) / 2, 1 - (1 - CONFIDENCE) / 2]) * sqrt(error_2) + apart
    low, high = (float(end) * unit for end in ends)
    return Difference(value, p, (low, high))


def _of_mean(values: Sequence[float], unit: float) -> tuple[float, float]:
    """A mean, and the square of its standard error, as scipy's `ttest_ind` sums them, which takes a millisecond."""
    import numpy as np

    each = np.asarray(values, dtype=float) / unit
    middle = each.mean()
    return float(middle), float(np.mean((each - middle) ** 2) * (len(each) / (len(each) - 1)) / len(each))


def welch(first: Sequence[float], second: Sequence[float]) -> float | None:
    """p of Welch's test, two-sided; None where a side has one value, or neither varies."""
    return difference(first, second).p
