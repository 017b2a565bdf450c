"""Welch's test, held against its definition."""

import math

import pytest

from bench.reporting.welch import Difference, difference


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
