"""Deviations, held against those of the standard library."""

import statistics

import numpy as np
import pytest

from bench.results.metrics import deviation


@pytest.mark.parametrize("count", [2, 3, 5, 40])
def test_it_is_that_of_the_library_to_the_last_bit(count: int) -> None:
    draws = np.random.default_rng(count)
    for scale in (1e-300, 1e-9, 1.0, 100.0, 1e150):
        for _ in range(50):
            values = [float(value) for value in draws.uniform(0, scale, count)]
            assert deviation(values) == statistics.stdev(values)


@pytest.mark.parametrize(("values", "found"), [([50.0], None), ([], None), ([3.0, 3.0], 0.0), ([1, 2, 3], 1.0)])
def test_of_one_value_there_is_none(values: list[float], found: float | None) -> None:
    assert deviation(values) == found
