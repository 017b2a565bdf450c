"""Welch's test, held against its definition."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from bench.reporting.statistics.welch import Difference, difference


def test_a_difference_by_the_definition() -> None:
    """By hand: means 2 and 7; variances 1 and 1, three values each: t = 5 / sqrt(2/3), four degrees of freedom."""
    found = difference([1.0, 2.0, 3.0], [6.0, 7.0, 8.0])
    assert found.value == 5.0
    assert found.interval is not None and found.p is not None
    half = 2.7764451 * math.sqrt(2 / 3)  # the 97.5 % quantile of Student's t with four degrees of freedom
    assert found.interval == pytest.approx((5 - half, 5 + half), abs=1e-5)
    assert found.p == pytest.approx(0.0035939, abs=1e-5)  # 2 (1 - F(6.1237)), by tables
    assert found.level is False


def test_sides_that_differ_by_no_more_than_their_values_are_level() -> None:
    assert difference([1.0, 2.0, 3.0], [1.5, 2.0, 3.5]).level is True


@pytest.mark.parametrize(("first", "second"), [([1.0], [2.0, 3.0]), ([1.0, 1.0], [2.0, 2.0])])
def test_of_one_value_or_of_none_that_vary_nothing_is_said(first: list[float], second: list[float]) -> None:
    found = difference(first, second)
    assert found == Difference(found.value)
    assert found.level is None


@pytest.mark.parametrize("sizes", [(2, 3), (3, 3), (5, 20)])
def test_it_is_scipys_to_the_last_bit(sizes: tuple[int, int]) -> None:
    draws = np.random.default_rng(sum(sizes))
    for _ in range(20):
        first, second = (list(draws.uniform(0, 100, size).round(int(draws.integers(1, 15)))) for size in sizes)
        theirs = ttest_ind(second, first, equal_var=False)
        found, between = difference(first, second), theirs.confidence_interval(0.95)
        assert (found.p, found.interval) == (float(theirs.pvalue), (float(between.low), float(between.high)))


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**300, 2.0**1000])
def test_it_asks_for_no_unit(unit: float) -> None:
    """Squares of such numbers are none that a float holds; an exact factor changes no p."""
    first, second = [1.0, 2.5, 3.0], [6.0, 7.0, 8.5]
    one, other = difference(first, second), difference([unit * x for x in first], [unit * x for x in second])
    assert one.interval is not None
    assert (other.p, other.interval) == (one.p, tuple(unit * end for end in one.interval))


def test_what_varies_by_less_than_a_float_can_square_is_no_error() -> None:
    assert difference([1e300, 1e300], [1.0, 2.0]).p is None
