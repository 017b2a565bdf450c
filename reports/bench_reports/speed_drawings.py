"""Speeds drawn by matplotlib: time and memory as bars, or over the hyper-parameter that was varied."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.reporting import Row, common
from bench.reporting.columns import inside
from bench.reporting.view import RankingView
from bench_reports.drawings import MARKERS, OF_LINES
from bench_reports.sheets import COLOURS, or_gap, small_print_alone, wrapped
from bench_reports.speed import speed_views, varied

ROW, MARGIN, LINES = 0.32, 1.1, 3.2  # inches: of a bar, of what is around bars, of a plot over what was varied
SMALL = 7
MIB = 2**20
FLOOR = "floor"
SPREAD = "error bars: from the 20th to the 80th percentile"

Number = Callable[[Row], float | None]


@dataclass(frozen=True)
class Measure:
    """What a plot is of.

    Attributes:
        title: with the unit.
        number: of a row.
        ends: between which most of what it is the median of lies.
        floor: what no row of its kind goes below.
    """

    title: str
    number: Number
    ends: tuple[Number, Number] | None = None
    floor: Number | None = None

    def errors(self, rows: Sequence[Row]) -> list[list[float]] | None:
        """How far the ends are below and above, as matplotlib takes it."""
        if self.ends is None:
            return None
        return [[abs(or_gap(end(row)) - or_gap(self.number(row))) for row in rows] for end in self.ends]

    def floors(self, rows: Sequence[Row]) -> list[float]:
        """Of each row, where all have one."""
        found = [self.floor(row) for row in rows] if self.floor else []
        return [] if None in found else [value for value in found if value is not None]


def _held(row: Row) -> float | None:
    return None if (held := row["above_model_bytes"]) is None else held / MIB


STEP = "ms_per_image_iteration"
MEASURES = (
    Measure(
        "ms per image-iteration",
        inside(STEP, "median"),
        (inside(STEP, "p20"), inside(STEP, "p80")),
        lambda row: row["floor_ms"],
    ),
    Measure("peak memory above the model, MiB", _held),
)


def speeds_drawn(rows: Sequence[Row], title: str) -> Figure:
    """Of the rows that were measured; of those without a result the small print says why."""
    done = [row for row in rows if row["status"] == "done"]
    key, names = next(iter(varied(done)), None), _series(done)
    views = speed_views(rows, title)
    notes = [note for view in views for note in _said(view)] or ["No rows."]
    subjects = [] if done else list(dict.fromkeys(_series(rows)))  # once more, where nothing of them is drawn
    figure = small_print_alone([*subjects, *([SPREAD] if done else []), *notes])
    figure.set_figheight(figure.get_figheight() + (LINES if key else MARGIN + ROW * max(1, len(done))))
    heading = views[0].heading if views else title
    figure.suptitle(wrapped(heading, figure.get_figwidth()), fontsize=9)
    for axes, measure in zip(figure.subplots(1, len(MEASURES)), MEASURES, strict=True):
        if key:
            _lines(axes, done, names, key, measure)
        else:
            _bars(axes, done, names, measure)
        axes.set_title(measure.title, fontsize=9)
    return figure


def _said(view: RankingView) -> list[str]:
    """The notes, without the sources of numbers that are not drawn with a mark."""
    return [note for note in view.notes if not note.startswith("[")]


def _series(rows: Sequence[Row]) -> list[str]:
    """What each row is of; with its arithmetic, where that is not the same in all."""
    named = ("method", "backbone", "engine", *(["precision"] if rows and common(rows, "precision") is None else []))
    return [" ".join(str(row[name]) for name in named if row[name]) for row in rows]


def _bars(axes: Axes, rows: Sequence[Row], names: Sequence[str], measure: Measure) -> None:
    places, values = range(len(rows)), [or_gap(measure.number(row)) for row in rows]
    axes.barh(places, values, xerr=measure.errors(rows), ecolor="0.15", capsize=1.5)
    if floors := measure.floors(rows):
        below, above = ([place + end for place in places] for end in (-0.4, 0.4))
        axes.vlines(floors, below, above, color=COLOURS[1], label=FLOOR)
        axes.legend(fontsize=SMALL)
    axes.set_yticks(places, names, fontsize=SMALL)
    axes.invert_yaxis()


def _lines(axes: Axes, rows: Sequence[Row], names: Sequence[str], key: str, measure: Measure) -> None:
    """A line for each of what was measured, and dotted its floor."""
    for number, name in enumerate(dict.fromkeys(names)):
        own = [row for row, of in zip(rows, names, strict=True) if of == name and row["varied"]]
        look = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
        heights = [or_gap(measure.number(row)) for row in own]
        places = [_place(row["varied"][key]) for row in own]
        axes.errorbar(places, heights, yerr=measure.errors(own), label=name, **{**OF_LINES, **look})
        if floors := measure.floors(own):
            axes.plot(places, floors, linestyle=":", marker="_", color=look["color"], label=f"{name}, {FLOOR}")
    values = list(dict.fromkeys(row["varied"][key] for row in rows if row["varied"]))
    if all(isinstance(value, int | float) for value in values):
        axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.set_xlabel(key)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=SMALL)


def _place(value: object) -> float | str:
    return value if isinstance(value, int | float) else str(value)
