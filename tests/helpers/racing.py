"""Benchmarks as races against a reference: each call of a competitor is held against one made shortly before it."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pytest_benchmark.fixture import BenchmarkFixture

T = TypeVar("T")
Step = Callable[[], object]
WARM_UP = 1  # pairs that are not timed


@dataclass(frozen=True)
class Race:
    """Times one competitor. `ratios` gets how many times as fast as the reference it is, under "race: competitor"."""

    fixture: BenchmarkFixture
    ratios: dict[str, float]

    @property
    def in_earnest(self) -> bool:
        """Whether times are taken, and work should be of its real size."""
        return not self.fixture.disabled

    def once(self, group: str, work: Callable[[], T]) -> T:
        """What a piece of work gives that can be timed but once, and is not raced."""
        self.fixture.group = group
        result: T = self.fixture.pedantic(work, rounds=1)  # type: ignore[no-untyped-call]
        return result

    def run(self, race: str, competitor: str, step: Step, reference: Step, rounds: int) -> None:
        """Times `rounds` pairs of calls; the ratio is the median of theirs.

        The speed of a machine drifts by more than what is to be seen, but hardly between the two of a pair. Before
        each its own kind is called untimed: a loop finds its data where the last step left them, and not the other's.
        """
        self.fixture.group = race
        taken: list[float] = []

        def before() -> None:
            if self.in_earnest:
                reference()
            began = time.perf_counter()
            reference()
            taken.append(time.perf_counter() - began)
            if self.in_earnest:
                step()

        warm_up = WARM_UP if self.in_earnest else 0
        self.fixture.pedantic(step, setup=before, rounds=rounds, warmup_rounds=warm_up)  # type: ignore[no-untyped-call]
        if self.in_earnest and self.fixture.stats is not None:
            pairs = zip(taken[warm_up:], self.fixture.stats.stats.data, strict=True)
            self.ratios[f"{race}: {competitor}"] = statistics.median(its / ours for its, ours in pairs)
