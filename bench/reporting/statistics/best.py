"""Which result of several is the best one, where the others are not level with it."""

from collections.abc import Sequence

from bench.reporting import Row
from bench.reporting.statistics.pooling import are_sets_of_one, hold_sets_of_one
from bench.reporting.statistics.welch import LEVEL, welch
from bench.results.metrics import primary

MARK = "*"
NONE = "none is the best: no row is above every other of its column"
DRAWS = "of sets that differ in their seed alone none can be (--over seed)"


def legend(rows: Sequence[Row], *, marked: bool) -> str:
    """What the best of these rows is, after its mark; or that none of them is, where none has one."""
    of_sets = all(row.get("sets") for row in rows)
    test = f"by Welch's test over {'sets' if of_sets else 'trainings of one set each'} (p < {LEVEL:g})"
    if not marked:
        return "; ".join([f"{NONE} {test}", *([DRAWS] if hold_sets_of_one(rows) else [])])
    others = "" if of_sets else ": other draws of a set may differ"
    return f"{MARK}: above every other row of its column {test}{others}; where none has it, none is the best"


def told_as(note: str, mark: str) -> str | None:
    """A note that says what the mark means, with another in its place; None for any other note."""
    return f"{mark}{note.removeprefix(MARK)}" if note.startswith(f"{MARK}: ") else None


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
