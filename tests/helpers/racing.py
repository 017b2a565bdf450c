"""Benchmarks as races against a reference in the same run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pytest_benchmark.fixture import BenchmarkFixture

T = TypeVar("T")
REFERENCE = "reference"
Times = dict[str, dict[str, float]]  # race -> competitor -> seconds, the median


@dataclass(frozen=True)
class Race:
    """Times one competitor of a race; the one called "reference" is what the others are held against."""

    fixture: BenchmarkFixture
    times: Times

    @property
    def in_earnest(self) -> bool:
        """Whether times are taken, and work should be of its real size."""
        return not self.fixture.disabled

    def once(self, group: str, work: Callable[[], T]) -> T:
        """What a piece of work gives that can be timed but once, and is not raced."""
        self.fixture.group = group
        result: T = self.fixture.pedantic(work, rounds=1)  # type: ignore[no-untyped-call]
        return result

    def run(self, race: str, competitor: str, step: Callable[[], object], rounds: int) -> None:
        """Times `rounds` calls of a step after two others."""
        self.fixture.group = race
        warm_up = 2 if self.in_earnest else 0
        self.fixture.pedantic(step, rounds=rounds, warmup_rounds=warm_up)  # type: ignore[no-untyped-call]
        if self.in_earnest and self.fixture.stats is not None:
            self.times.setdefault(race, {})[competitor] = self.fixture.stats.stats.median
