"""Which result of several is the best one, where the others are not level with it."""

from collections.abc import Iterable, Sequence

from bench.reporting import Row
from bench.reporting.pooling import are_sets_of_one
from bench.reporting.welch import LEVEL, welch
from bench.results.metrics import primary

MARK = "*"
BEST = "above every other row of its column by Welch's test"
OF_SETS = f"{BEST} over sets (p < {LEVEL:g}); where none has it, none is the best"
OF_TRAININGS = (
    f"{BEST} over trainings of one set each (p < {LEVEL:g}): other draws of a set may differ; where none has it, none "
    "is the best, nor is any of sets that differ in their seed alone (--over seed)"
)


def words(rows: Iterable[Row]) -> str:
    """What the best of these rows is, where a mark or bold type says that it is."""
    return OF_SETS if all(row.get("sets") for row in rows) else OF_TRAININGS


def legend(rows: Iterable[Row]) -> str:
    """The same after the mark."""
    return f"{MARK}: {words(rows)}"


def is_legend(note: str) -> bool:
    """Whether a note is what `legend` says."""
    return note.startswith(f"{MARK}: ")


def is_best(row: Row, others: Sequence[Row]) -> bool:
    """Whether a row's primary metric is better than that of each other one, by Welch's test.

    None is, beside another set of its own configuration: the test is over trainings, and a lucky draw no better method.
    """
    mine, theirs = primary(row), [primary(other) for other in others]
    if not theirs or mine.badness >= min(other.badness for other in theirs):
        return False
    if any((p := welch(mine.values, other.values)) is None or p >= LEVEL for other in theirs):
        return False
    return not any(are_sets_of_one(row, other) for other in others)
