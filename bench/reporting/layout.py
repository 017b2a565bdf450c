"""Dividing a view's columns into parts that fit a width."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from bench.reporting.units import UNKNOWN, digits
from bench.reporting.view import RankingView

LEFT = (
    *("method", "set", "backbone", "changed", "engine", "labels", "run", "rung", "change"),
    *("dataset", "condensed\nwith", "trained\non it", "protocol", "verdict", "set by\nthe table"),
)
GAP = 2


def parts(view: RankingView, width: int) -> list[pd.DataFrame]:
    """The view as tables of at most `width` characters, identity columns first in each.

    A group of columns stays in one piece where a line can hold it; a single column is never cut.
    """
    room = width + GAP - extent(view.identity)
    lines: list[list[pd.DataFrame]] = [[]]
    for group in view.groups:
        pieces = [group] if extent(group) <= room else [group[[title]] for title in titles(group)]
        for piece in pieces:
            if lines[-1] and sum(map(extent, [*lines[-1], piece])) > room:
                lines.append([])
            lines[-1].append(piece)
    return [pd.concat([view.identity, *line], axis="columns") for line in lines]


def in_one_unit(view: RankingView) -> RankingView:
    """The view with the durations and sizes of each column in one unit, which its title names."""
    return replace(view, groups=tuple(_in_one_unit(group, view) for group in view.groups))


def _in_one_unit(group: pd.DataFrame, view: RankingView) -> pd.DataFrame:
    made: dict[str, list[str]] = {}
    for title in titles(group):
        numbers, units = view.numbers.get(title, ()), view.units.get(title, ())
        if units and (known := [number for number in numbers if number]):
            name, much = _unit(known, units)
            cells = zip(numbers, group[title], strict=True)  # what is no number beside others stays as it is marked
            made[f"{title}\n({name})"] = [
                shown if number is None else digits(number / much) or UNKNOWN for number, shown in cells
            ]
        else:
            made[title] = list(group[title])
    return pd.DataFrame(made, dtype=object)


def _unit(known: Sequence[float], units: Sequence[tuple[str, float]]) -> tuple[str, float]:
    """The unit in which the middle of smallest and largest, as their ratios go, is at least one."""
    middle = math.sqrt(min(known) * max(known))
    return next((unit for unit in units if middle >= unit[1]), units[-1])


def titles(frame: pd.DataFrame) -> list[str]:
    """The column titles, line breaks included."""
    return [str(title) for title in frame.columns]


def flat(title: str) -> str:
    """A title in one line."""
    return title.replace("-\n", "-").replace("\n", " ")


def extent(frame: pd.DataFrame) -> int:
    """Characters that the columns take side by side, the gap after each included."""
    return sum(GAP + max(len(text) for text in [*title.split("\n"), *frame[title]]) for title in titles(frame))


def alignment(frame: pd.DataFrame) -> list[str]:
    """Words to the left, numbers to the right."""
    return ["left" if title in LEFT else "right" for title in titles(frame)]
