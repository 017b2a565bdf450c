"""Figures, drawn by matplotlib as SVG: text that browsers show and papers take.

Of a comparison: a panel a ranking, its methods by their primary metric with the spread over trainings, the control as a
line across, published numbers as diamonds. Of speeds: time and memory, as bars, or over the hyper-parameter that was
varied.
"""

import io
import math
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.reporting import ReportFormat, Row, primary
from bench.reporting.view import RankingView, complaints, inside, views
from bench.storage.streams import one_line
from bench_reports.speed import speed_views, varied

WIDTH, ROW, MARGIN = 9.0, 0.32, 1.1  # inches
LINE = 110  # characters of small print
SMALL = 7
STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 9, "axes.spines.top": False}
MIB = 2**20

Number = Callable[[Row], float | None]

PANELS: dict[str, Number] = {
    "ms per image-iteration": inside("ms_per_image_iteration", "median"),
    "peak memory above the model, MiB": lambda row: None if (held := row["above_model_bytes"]) is None else held / MIB,
}


class Svg(ReportFormat):
    """One figure."""

    name = "svg"
    suffix = ".svg"

    def render(self, rows: Sequence[Row], *, claims: bool) -> str:
        shown = views(rows, claims=claims)
        heights = [MARGIN + ROW * len(view.rows) for view in shown] or [MARGIN]
        notes = [*dict.fromkeys(note for view in shown for note in _said(view)), *complaints(rows)]
        with mpl.rc_context(STYLE):
            figure = _figure(sum(heights), notes or ["No rows."])
            grid = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)
            for axes, view in zip(grid[:, 0], shown, strict=bool(shown)):
                _ranking(axes, view, claims)
            return _text(figure)

    def render_speed(self, rows: Sequence[Row], *, title: str) -> str:
        done = [row for row in rows if row["status"] == "done"]
        key = next(iter(varied(done)), None)
        notes = [note for view in speed_views(rows, title) for note in _said(view)] or ["No rows."]
        with mpl.rc_context(STYLE):
            figure = _figure(3.2 if key else MARGIN + ROW * max(1, len(done)), [*_subjects(rows), *notes])
            figure.suptitle(_wrapped(_heading(rows, title)), fontsize=9)
            for axes, (what, number) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
                _lines(axes, done, key, number) if key else _bars(axes, done, number)
                axes.set_title(what, fontsize=9)
            return _text(figure)


def _figure(height: float, notes: Sequence[str]) -> Figure:
    small_print = "\n".join(_wrapped(note) for note in notes)
    below = 0.16 * (small_print.count("\n") + 2)
    figure = Figure(figsize=(WIDTH, height + below), layout="constrained")
    figure.supxlabel(small_print, fontsize=SMALL, x=0.01, ha="left")
    return figure


def _said(view: RankingView) -> list[str]:
    """The notes, without the sources of numbers that are not drawn with a mark."""
    return [note for note in view.notes if not note.startswith("[")]


def _text(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _wrapped(text: str) -> str:
    return "\n".join(wrap(one_line(text).replace("$", r"\$"), LINE))


def _ranking(axes: Axes, view: RankingView, claims: bool) -> None:
    """Bars from the best down; the control's score goes across, since that is what a method must beat."""
    rows = view.rows
    scores = [primary(row) for row in rows]
    means, errors = [_or_gap(each.mean) for each in scores], [_or_gap(each.std) for each in scores]
    controls = [bool(row.get("is_control")) for row in rows]
    colours = ["0.7" if control else "C0" for control in controls]
    axes.barh(range(len(rows)), means, xerr=errors, color=colours, error_kw={"elinewidth": 1})
    for mean, control in zip(means, controls, strict=True):
        if control:
            axes.axvline(mean, color="0.5", linewidth=0.8, linestyle="--")
    if claims:
        found = [(row["claim"]["value"], place) for place, row in enumerate(rows) if row.get("claim")]
        axes.plot([value for value, _ in found], [place for _, place in found], "D", color="C1", markersize=4)
    axes.set_yticks(range(len(rows)), [" ".join(map(str, words)) for words in view.identity.to_numpy().tolist()])
    axes.invert_yaxis()
    axes.set_xlabel(scores[0].title + (" (diamond: published)" if claims else ""))
    axes.set_title(_wrapped(view.heading), fontsize=SMALL + 1, loc="left")


def _bars(axes: Axes, rows: Sequence[Row], number: Number) -> None:
    axes.barh(range(len(rows)), [_or_gap(number(row)) for row in rows])
    axes.set_yticks(range(len(rows)), [_series(row) for row in rows], fontsize=SMALL)
    axes.invert_yaxis()


def _lines(axes: Axes, rows: Sequence[Row], key: str, number: Number) -> None:
    for name in dict.fromkeys(map(_series, rows)):
        points = [(row["varied"][key], number(row)) for row in rows if row["varied"] and _series(row) == name]
        places = [value if isinstance(value, int | float) else str(value) for value, _ in points]
        axes.plot(places, [_or_gap(height) for _, height in points], "o-", label=name)
    axes.set_xlabel(key)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=SMALL)


def _or_gap(value: float | None) -> float:
    """What was not measured is not drawn, and least of all as 0."""
    return math.nan if value is None else value


def _series(row: Row) -> str:
    return " ".join(filter(None, [row["method"], row["backbone"], row["engine"]]))


def _subjects(rows: Sequence[Row]) -> list[str]:
    """What was measured, said once more in words where nothing of it could be drawn."""
    return [] if any(row["status"] == "done" for row in rows) else list(dict.fromkeys(map(_series, rows)))


def _heading(rows: Sequence[Row], title: str) -> str:
    found = speed_views(rows, title)
    return found[0].heading if found else title


SVG = Svg()
