"""Numbers as people read them in forecasts."""

import pytest

from bench.hardware.quantities import duration


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (99, "99 s"),
        (100, "2 min"),
        (5_999, "100 min"),
        (6_000, "1.7 h"),
        (359_999, "100.0 h"),
        (558_000, "6.5 days"),
    ],
)
def test_durations_of_a_forecast(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
