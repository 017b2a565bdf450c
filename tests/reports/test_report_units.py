"""Numbers as people read them."""

import pytest

from bench.reporting.units import claimed, digits, duration, percent, size, spread


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.00031, "0.310 ms"),
        (0.0041, "4.10 ms"),
        (0.9994, "999 ms"),
        (3.971, "3.97 s"),
        (119.6, "120 s"),
        (312.5, "5.21 min"),
        (7199, "120 min"),
        (7200, "2.00 h"),
        (400_000, "111 h"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (9.3123, "9.31"), (0.0123, "0.0123"), (1234.5, "1234"), (99.97, "100"), (9e299, "9.00e+299")],
)
def test_digits(value: float, shown: str) -> None:
    assert digits(value) == shown


def test_spread_says_how_many_trainings() -> None:
    assert spread(41.104, 0.4203, 3) == "41.10 ± 0.42 (3)"
    assert spread(41.104, None, 1) == "41.10 (1)"
    assert spread(0.0, 0.0, 2) == "0.00 ± 0.00 (2)"


@pytest.mark.parametrize(
    ("mean", "std", "unit", "shown"),
    [
        (0.03124, 0.00119, "nats", "0.0312 ± 0.0012 (3)"),
        (0.03124, 0.00119, "%", "0.03 ± 0.00 (3)"),
        (0.51, 0.049, "points", "0.51 ± 0.05 (3)"),
        (-0.51, 0.049, "", "-0.510 ± 0.049 (3)"),
        (12.345, 0.04, "nats", "12.35 ± 0.04 (3)"),
        (0.0, 0.0, "s", "0.00 ± 0.00 (3)"),
        (9e299, 1e298, "", "9e+299 ± 1e+298 (3)"),
        (3e-9, None, "", "3e-09 (3)"),
    ],
)
def test_results_have_the_decimals_of_their_unit(mean: float, std: float | None, unit: str, shown: str) -> None:
    assert spread(mean, std, 3, unit) == shown


def test_what_is_not_known_stays_unknown() -> None:
    assert [percent(None), digits(None), duration(None), size(None), spread(None, 1.0, 3)] == [None] * 5


@pytest.mark.parametrize(
    ("value", "std", "said"),
    [
        (14.4, 2.0, "14.4 ± 2.0"),
        (57.0, 0.4, "57.0 ± 0.4"),
        (41.25, 0.5, "41.25 ± 0.50"),
        (57.0, None, "57"),
        (57.0, 2.0, "57 ± 2"),
        (1e-7, 0.5, "1e-07 ± 0.5"),
    ],
)
def test_a_published_number_and_its_deviation_have_the_same_decimals(
    value: float, std: float | None, said: str
) -> None:
    assert claimed(value, std) == said


def test_a_published_number_keeps_the_decimals_that_its_source_prints() -> None:
    assert claimed(49.0, None, 1) == "49.0"
    assert claimed(81.0, 0.25, 1) == "81.00 ± 0.25"
