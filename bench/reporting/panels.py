"""What may stand in one figure: results that share all that a ranking shares, but for what the figure goes across."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.reporting import Row
from bench.reporting.naming import line_names
from bench.reporting.pivot import comparable, heading, named
from bench.storage.streams import one_line

FARTHEST = 1e300  # where an axis ends: what is reckoned of larger numbers is more than floats hold


@dataclass(frozen=True)
class Panel:
    """Lines of results over images per class, networks or datasets.

    Attributes:
        heading: what all of them share, in one line.
        across: "ipc", "eval_backbone" or "dataset".
        values: those that it goes across, in order.
        lines: by who it is of, the row of each value that was measured.
    """

    heading: str
    across: str
    values: Sequence[Any]
    lines: Mapping[str, Mapping[Any, Row]]

    @property
    def named(self) -> dict[str, Row]:
        """A row of each line."""
        return {name: next(iter(line.values())) for name, line in self.lines.items()}


def panels(rows: Iterable[Row], across: str, least: int = 2) -> list[Panel]:
    """The panels of all done rows that have at least so many values of `across`."""
    found = comparable(rows, across)
    return [_panel(group, across) for group in found if len({row[across] for row in group}) >= least]


def _panel(rows: Sequence[Row], across: str) -> Panel:
    found: dict[str, dict[Any, Row]] = {}
    for row, name in zip(rows, line_names(named(rows, across)), strict=True):
        found.setdefault(name, {}).setdefault(row[across], row)
    values = sorted({row[across] for row in rows})
    return Panel(one_line(heading(rows)), across, values, found)
