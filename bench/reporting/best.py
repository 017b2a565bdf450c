"""Which result of several is the best one, where the others are not level with it."""

from collections.abc import Sequence

from bench.reporting import Row
from bench.reporting.welch import LEVEL, welch
from bench.results.metrics import primary

MARK = "*"
WORDS = f"above every other row of its column by Welch's test (p < {LEVEL:g}); where none has it, none is the best"
LEGEND = f"{MARK}: {WORDS}"


def is_best(row: Row, others: Sequence[Row]) -> bool:
    """Whether a row's primary metric is better than that of each other one, by Welch's test."""
    mine, theirs = primary(row), [primary(other) for other in others]
    if not theirs or mine.badness >= min(other.badness for other in theirs):
        return False
    return all((p := welch(mine.values, other.values)) is not None and p < LEVEL for other in theirs)
