"""Numbers as people read them."""

import pytest

from bench.reporting.units import digits, duration, percent, size, spread


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


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (9.3123, "9.31"), (0.0123, "0.0123"), (1234.5, "1234")])
def test_digits(value: float, shown: str) -> None:
    assert digits(value) == shown


def test_spread_says_how_many_trainings() -> None:
    assert spread(41.104, 0.4203, 3) == "41.10 ± 0.42 (3)"
    assert spread(41.104, None, 1) == "41.10 (1)"
    assert spread(0.0, 0.0, 2) == "0.00 ± 0.00 (2)"


def test_what_is_not_known_stays_unknown() -> None:
    assert [percent(None), digits(None), duration(None), size(None), spread(None, 1.0, 3)] == [None] * 5
