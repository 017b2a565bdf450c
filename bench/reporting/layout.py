"""A view's columns as lines of text, divided into parts that fit a width."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.reporting.columns import Columns
from bench.reporting.columns import flat as flat
from bench.reporting.statistics.best import MARK
from bench.reporting.units import COMPANY, UNKNOWN, digits
from bench.reporting.view import RankingView

LEFT = (
    *("method", "set", "backbone", "changed", "engine", "labels", "run", "rung", "change"),
    *("made\nin", "pre-\nprocessing", "status", "budget", "made (UTC)", "notes"),
    *("dataset", "condensed\nwith", "trained\non it", "protocol", "metric", "verdict", "set by\nthe table"),
)
GAP = 2
READABLE = 1000.0  # so many times its smallest value a column's largest may be, in one unit


def parts(view: RankingView, width: int) -> list[Columns]:
    """The view as tables of at most `width` characters, identity columns first in each.

    A group of columns stays in one piece where a line can hold it; a single column is never cut.
    """
    room = width + GAP - extent(view.identity)
    lines: list[list[Columns]] = [[]]
    for group in view.groups:
        pieces = [group] if extent(group) <= room else [{title: cells} for title, cells in group.items()]
        for piece in pieces:
            if lines[-1] and sum(map(extent, [*lines[-1], piece])) > room:
                lines.append([])
            lines[-1].append(piece)
    return [beside(view.identity, *line) for line in lines]


def in_one_unit(view: RankingView) -> RankingView:
    """The view with the durations and sizes of each column in one unit, which its title names.

    A column whose values lie further apart than `READABLE` stays as it is, each value with a unit of its own.
    """
    return replace(view, groups=tuple(_in_one_unit(group, view) for group in view.groups))


def _in_one_unit(group: Columns, view: RankingView) -> Columns:
    made: Columns = {}
    for title, texts in group.items():
        numbers, units = view.numbers.get(title, ()), view.units.get(title, ())
        known = [abs(number) for number in numbers if number]
        if units and known and max(known) <= READABLE * min(known):
            name, much = unit_of(known, units)
            made[f"{title}\n({name})"] = [_in(much, *each) for each in zip(numbers, texts, strict=True)]
        else:
            made[title] = texts
    return made


def _in(much: float, number: float | None, shown: str) -> str:
    """A number in a unit, with the mark that it has where it is shown in its own."""
    if number is None:
        return shown
    return f"{digits(number / much) or UNKNOWN}{COMPANY if shown.endswith(COMPANY) else ''}"


def unit_of(known: Sequence[float], units: Sequence[tuple[str, float]]) -> tuple[str, float]:
    """The unit in which the middle of smallest and largest, as their ratios go, is at least one."""
    middle = math.sqrt(min(known) * max(known))
    return next((unit for unit in units if middle >= unit[1]), units[-1])


def beside(*groups: Columns) -> Columns:
    """The columns of all groups, in their order; no two have one title (`bench.reporting.columns.distinct_title`)."""
    return {title: cells for group in groups for title, cells in group.items()}


def extent(columns: Columns) -> int:
    """Characters that the columns take side by side, the gap after each included."""
    return sum(GAP + max(map(len, [*title.split("\n"), *_shifted(cells)])) for title, cells in columns.items())


def alignment(titles: Iterable[str]) -> list[str]:
    """Words to the left, numbers to the right."""
    return ["left" if title in LEFT else "right" for title in titles]


def grid(columns: Columns) -> list[str]:
    """Titles, which may have line breaks, a rule, lines. tabulate guesses types, and takes ten times as long."""
    heads = [title.split("\n") for title in columns]
    depth = max(map(len, heads))
    drawn = [
        _column([*head, *[""] * (depth - len(head))], cells, side)
        for head, cells, side in zip(heads, columns.values(), alignment(columns), strict=True)
    ]
    return [(" " * GAP).join(cells).rstrip() for cells in zip(*drawn, strict=True)]


def _column(head: Sequence[str], cells: Sequence[str], side: str) -> list[str]:
    """Of one width, from the title's first line to the last cell."""
    cells = _shifted(cells)
    width = max(map(len, (*head, *cells)))
    placed = str.ljust if side == "left" else str.rjust
    above, below = ([placed(text, width) for text in some] for some in (head, cells))
    return [*above, "-" * width, *below]


def _shifted(cells: Sequence[str]) -> Sequence[str]:
    """With a blank after each that has no mark, where another has: a mark shifts no digits."""
    marked = [cell.endswith((MARK, COMPANY)) for cell in cells]
    if not any(marked):
        return cells
    return [cell if has_one else f"{cell} " for cell, has_one in zip(cells, marked, strict=True)]
