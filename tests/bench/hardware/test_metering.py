"""Times and memory."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bench.hardware.meters import IterationTimes, PeakMemory, memory_in_use, own_peak, peak_memory

CPU = torch.device("cpu")


@contextmanager
def held(size: int) -> Iterator[None]:
    """`size` bytes in pages of their own: a tensor could get what the process kept of earlier tests."""
    with mmap.mmap(-1, size) as pages:
        for start in range(0, size, mmap.PAGESIZE):
            pages[start] = 1
        yield


def test_the_peak_begins_anew_and_sees_what_was_held_only_for_a_moment() -> None:
    with held(240_000_000):
        pass
    earlier = peak_memory(CPU).rss
    with own_peak(CPU) as peak:
        before = peak.read().rss
        assert earlier - before > 180e6
        with held(160_000_000):
            pass
        assert peak.read().rss - before > 120e6


def test_work_that_is_measured_within_other_work_counts_there_alone() -> None:
    """A stage in the making of another, or of images: whoever finds it in the cache has the same peak."""
    with own_peak(CPU) as outer:
        before = outer.read().rss
        with held(120_000_000):
            pass
        with own_peak(CPU) as inner, held(320_000_000):
            assert inner.read().rss - before > 260e6
        assert 80e6 < outer.read().rss - before < 200e6
        with held(240_000_000):
            pass
        assert outer.read().rss - before > 180e6, "what comes after it is its own again"


def test_a_peak_of_several_parts_is_the_greatest_of_each() -> None:
    assert PeakMemory(5, 6, 7).joined(PeakMemory(4, 9, 8)) == PeakMemory(5, 9, 8)
    assert PeakMemory(None, None, 7).joined(PeakMemory(None, None, 3)) == PeakMemory(None, None, 7)


def test_what_is_in_use_grows_with_what_is_held() -> None:
    before = memory_in_use(CPU)
    with held(160_000_000):
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
