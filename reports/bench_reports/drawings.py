"""Results drawn by matplotlib: a panel a ranking, or results over images per class, networks or datasets."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from bench.reporting import Row, primary
from bench.reporting.naming import line_names
from bench.reporting.panels import Panel, of_best_at
from bench.reporting.remarks import OVER_SETS, OVER_TRAININGS, SETS, TRAININGS
from bench.reporting.statistics.best import is_best, told_as
from bench.reporting.units import claimed, result
from bench.reporting.view import RankingView
from bench_reports.looks import Look, Looks
from bench_reports.sheets import COLOURS, Part, Sheet, or_gap

ROW, CURVES = 0.3, 2.0  # inches: of a bar, of a plot over images per class
GAP = 4  # points between a bar and its value
MARKERS = "osD^vPX*"
HATCHES = ("", "///", "...", "xx", "---", "||")  # bars of one method
CONTROL = "0.62"
DASHED = "dashed: the mean of the control, of several that of the best"
DRAWN = {OVER_TRAININGS: f"error bars: {TRAININGS}", OVER_SETS: f"error bars: {SETS}"}  # notes of tables
HALO = withStroke(linewidth=2.2, foreground="white")  # of what is dark on dark bars
OF_BARS: Any = {"ecolor": "0.15", "elinewidth": 0.9, "capsize": 1.5}
OF_LINES: Any = {"markersize": 3.5, "linewidth": 1.1, "capsize": 1.5, "elinewidth": 0.8}


def rankings_drawn(shown: Sequence[RankingView], inches: float | None, *, claims: bool) -> Figure:
    """A panel a ranking; panels have numbers where the small print says something of some of them."""
    notes = [[*_dashed(view), *(note for note in view.notes if note not in view.aside)] for view in shown]
    headings, small_print = _numbered([view.heading for view in shown], notes)
    parts = [Part(heading, ROW * len(view.rows)) for heading, view in zip(headings, shown, strict=True)]
    sheet = Sheet(parts, small_print, inches)
    for axes, view in zip(sheet.plots, shown, strict=True):
        _ranking(axes, view, claims)
    return sheet.fitted()


def _numbered(headings: Sequence[str], notes: Sequence[Sequence[str]]) -> tuple[list[str], list[str]]:
    """The headings of panels, and their notes, each once; where one is of some of the panels, with numbers."""
    said: dict[str, list[int]] = {}
    for number, each in enumerate(notes, 1):
        for note in dict.fromkeys(map(_drawn, each)):
            said.setdefault(note, []).append(number)
    every = len(headings)
    small_print = [note if len(of) == every else f"{_listed(of)} {note}" for note, of in said.items()]
    if all(len(of) == every for of in said.values()):
        return list(headings), small_print
    return [f"({number}) {heading}" for number, heading in enumerate(headings, 1)], small_print


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(f"({number})" for number in numbers)


def _drawn(note: str) -> str:
    """A note of a table, where its signs are drawn."""
    return DRAWN.get(note) or told_as(note, "bold") or note


def _dashed(view: RankingView) -> list[str]:
    """What the dashed line across bars is."""
    return [DASHED] if any(row.get("is_control") for row in view.rows) else []


def panels_drawn(found: Sequence[Panel], inches: float | None) -> Figure:
    """Lines over images per class, or bars in groups over networks or datasets."""
    notes = [[*(of_best_at(panel) if panel.across != "ipc" else []), *panel.notes] for panel in found]
    headings, small_print = _numbered([panel.heading for panel in found], notes)
    parts = [_part(heading, panel) for heading, panel in zip(headings, found, strict=True)]
    sheet, looks = Sheet(parts, small_print, inches), Looks(row for panel in found for row in panel.named.values())
    for axes, panel in zip(sheet.plots, found, strict=True):
        (_over_ipc if panel.across == "ipc" else _grouped)(axes, panel, looks.of(panel.named))
        sheet.with_legend(axes)
    return sheet.fitted()


def _part(heading: str, panel: Panel) -> Part:
    legend = 0.2 * math.ceil(len(panel.lines) / 2)
    bars = sum(value in line for line in panel.lines.values() for value in panel.values)
    return Part(heading, CURVES if panel.across == "ipc" else 0.75 * ROW * (bars + len(panel.values)), legend)


def _ranking(axes: Axes, view: RankingView, claims: bool) -> None:
    """Bars from the best down with their values; the control's goes across, which is what a method must beat."""
    rows = view.rows
    published = [row.get("claim") if claims else None for row in rows]
    for place, (row, claim) in enumerate(zip(rows, published, strict=True)):
        best = place == 0 and is_best(row, rows[1:])
        _bar(axes, place, row, CONTROL if row.get("is_control") else COLOURS[0], bold=best, claim=claim)
    for row in [row for row in rows if row.get("is_control")][:1]:
        axes.axvline(or_gap(primary(row).mean), color="0.5", linewidth=0.8, linestyle="--", zorder=0)
    axes.plot(
        [or_gap(claim and claim["value"]) for claim in published], range(len(rows)), "D", color=COLOURS[1], markersize=4
    )
    axes.set_yticks(range(len(rows)), line_names(view.identity))
    axes.invert_yaxis()
    axes.set_xlabel(primary(rows[0]).title + (" (diamond, and in brackets: published)" if any(published) else ""))
    axes.margins(x=0.14)
    _from_zero(axes, rows)


def _from_zero(axes: Axes, rows: Iterable[Row]) -> None:
    """Has the axis begin at 0 as bars do, where none of them goes below: accuracies do not, other metrics may."""
    if all((primary(row).mean or 0.0) >= 0 for row in rows):
        axes.set_xlim(left=0)


def _bar(
    axes: Axes,
    place: float,
    row: Row,
    colour: str,
    *,
    bold: bool,
    label: str = "",
    claim: Mapping[str, Any] | None = None,
    hatch: str = "",
) -> None:
    """A result with its deviation and its value, and in brackets what was published for it."""
    found = primary(row)
    axes.barh(place, or_gap(found.mean), 0.72, color=colour, label=label, hatch=hatch, edgecolor="white", linewidth=0)
    if found.mean is None:
        return
    if found.std is not None:
        axes.errorbar(found.mean, place, xerr=found.std, fmt="none", path_effects=[HALO], **OF_BARS)
    axes.annotate(
        result(found.mean, found.unit)
        + (f" ({claimed(claim['value'], None, claim.get('decimals', 0))})" if claim else ""),
        (max(found.mean + (found.std or 0), claim["value"] if claim else 0.0), place),
        (GAP, 0),
        textcoords="offset points",
        va="center",
        fontsize=mpl.rcParams["font.size"] - 0.5,
        fontweight="bold" if bold else "normal",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3},  # a control's line goes behind it
    )


def _over_ipc(axes: Axes, panel: Panel, looks: Mapping[str, Look]) -> None:
    """A line for each, against the logarithm of the images per class."""
    for name, line in panel.lines.items():
        look = looks[name]
        points = [(ipc, primary(line[ipc])) for ipc in panel.values if ipc in line]
        heights, errors = [or_gap(found.mean) for _, found in points], [found.std or 0 for _, found in points]
        drawn = {"color": _colour(look), "marker": MARKERS[look.mark % len(MARKERS)], "linestyle": _dashes(look)}
        axes.errorbar([ipc for ipc, _ in points], heights, yerr=errors, label=name, **{**OF_LINES, **drawn})
    axes.set_xscale("log")
    axes.set_xticks(list(panel.values), [str(value) for value in panel.values])
    axes.minorticks_off()
    axes.set_xlabel("images per class")
    axes.set_ylabel(_title(panel))
    axes.grid(axis="y", linewidth=0.4, color="0.88")


def _grouped(axes: Axes, panel: Panel, looks: Mapping[str, Look]) -> None:
    """A group of bars for each network or dataset, in it those that were measured."""
    named, place, middles = set[str](), 0.0, []
    for value in panel.values:
        rows = [(name, line[value], looks[name]) for name, line in panel.lines.items() if value in line]
        middles.append(place + (len(rows) - 1) / 2)
        for name, row, look in rows:
            bold = is_best(row, [other for other in panel.rows_at(value) if other is not row])
            label, hatch = "" if name in named else name, HATCHES[look.nth % len(HATCHES)]
            _bar(axes, place, row, _colour(look), bold=bold, label=label, hatch=hatch)
            named.add(name)
            place += 1
        place += 1
    axes.set_yticks(middles, [str(value) for value in panel.values])
    axes.invert_yaxis()
    axes.set_xlabel(_title(panel))
    axes.margins(x=0.14)
    _from_zero(axes, (row for line in panel.lines.values() for row in line.values()))


def _colour(look: Look) -> str:
    return CONTROL if look.colour is None else COLOURS[look.colour]


def _dashes(look: Look) -> str:
    return "--" if look.colour is None else "-"


def _title(panel: Panel) -> str:
    return primary(next(iter(next(iter(panel.lines.values())).values()))).title
