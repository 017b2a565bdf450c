"""What may stand in one figure: results that share all that a ranking shares, but for what the figure goes across."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.reporting import Row
from bench.reporting.naming import line_names
from bench.reporting.pivot import comparable, named, remarks, title_of
from bench.reporting.statistics.best import is_best, legend

FARTHEST = 1e300  # where an axis ends: what is reckoned of larger numbers is more than floats hold


@dataclass(frozen=True)
class Panel:
    """Lines of results over images per class, networks or datasets.

    Attributes:
        heading: what all of them share, in one line.
        across: "ipc", "eval_backbone" or "dataset".
        values: those that it goes across, in order.
        lines: by who it is of, the row of each value that was measured.
        notes: what is said of them.
    """

    heading: str
    across: str
    values: Sequence[Any]
    lines: Mapping[str, Mapping[Any, Row]]
    notes: Sequence[str] = ()

    @property
    def named(self) -> dict[str, Row]:
        """A row of each line."""
        return {name: next(iter(line.values())) for name, line in self.lines.items()}

    def rows_at(self, value: Any) -> list[Row]:  # noqa: ANN401 - any JSON value
        """The rows that stand beside each other."""
        return [line[value] for line in self.lines.values() if value in line]


def panels(rows: Iterable[Row], across: str, least: int = 2) -> list[Panel]:
    """The panels of all done rows that have at least so many values of `across`."""
    found = comparable(rows, across)
    return [_panel(group, across) for group in found if len({row[across] for row in group}) >= least]


def _panel(rows: Sequence[Row], across: str) -> Panel:
    found: dict[str, dict[Any, Row]] = {}
    who = named(rows, across)
    for row, name in zip(rows, line_names(who), strict=True):
        found.setdefault(name, {}).setdefault(row[across], row)
    values = sorted({row[across] for row in rows})
    return Panel(title_of(rows), across, values, found, remarks(rows, who, across))


def of_best_at(panel: Panel) -> list[str]:
    """What the mark of the best means among what stands beside each other, or that none has it."""
    groups = [rows for value in panel.values if len(rows := panel.rows_at(value)) > 1]
    marked = any(is_best(row, [other for other in rows if other is not row]) for rows in groups for row in rows)
    return [legend([row for rows in groups for row in rows], marked=marked)] if groups else []
