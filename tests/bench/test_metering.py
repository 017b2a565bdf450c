"""Times and memory."""

import mmap

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.metering import IterationTimes, memory_in_use, peak_memory, quantile, reset_peak_memory

CPU = torch.device("cpu")


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=40), st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]))
def test_quantiles_are_numpys(values: list[float], at: float) -> None:
    assert np.isclose(quantile(values, at), np.quantile(values, at))


def test_the_peak_begins_anew_and_sees_what_was_held_only_for_a_moment() -> None:
    big = torch.ones(60_000_000)
    del big
    reset_peak_memory(CPU)
    before = peak_memory(CPU).rss
    held = torch.ones(40_000_000)
    del held
    assert peak_memory(CPU).rss - before > 120e6


def test_what_is_in_use_grows_with_what_is_held() -> None:
    """Pages of its own: a tensor could get memory that the process holds already, after other tests."""
    before = memory_in_use(CPU)
    with mmap.mmap(-1, 160_000_000) as held:
        for start in range(0, len(held), 1_000_000):
            held[start : start + 1_000_000] = bytes(999_999) + b"."
        assert memory_in_use(CPU) - before > 120e6
    assert memory_in_use(CPU) - before < 80e6


def test_a_cpu_has_no_allocator_to_ask() -> None:
    memory = peak_memory(CPU)
    assert (memory.allocated, memory.reserved) == (None, None)


def test_a_method_without_iterations_says_nothing_rather_than_zero() -> None:
    assert IterationTimes().milliseconds() is None


def test_units_add_up_and_the_iterations_are_those_of_one_image() -> None:
    times = IterationTimes([0.001] * 3, 1.0, 100)
    times.merge(IterationTimes([0.003] * 2, 0.5, 100))
    assert times.milliseconds() == {"median": 1.0, "p20": 1.0, "p80": 3.0}
    assert (times.iterations, times.warm_up_s) == (100, 1.5)
