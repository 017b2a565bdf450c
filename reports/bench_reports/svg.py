"""Figures, drawn by matplotlib: as SVG, text that browsers show, as PDF and, for slides and issues, as PNG.

Of a comparison: a panel a ranking, its methods by their primary metric with the spread over trainings, the control as a
line across, published numbers as diamonds; or results over images per class, networks or datasets. Of speeds: time and
memory, as bars, or over the hyper-parameter that was varied. What is not drawn, rows without a result among it, stands
in the description that the file carries.
"""

import io
from collections.abc import Callable, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.errors import UsageError
from bench.reporting import Row, primary
from bench.reporting.panels import FARTHEST, panels
from bench.reporting.pictures import PictureFormat
from bench.reporting.remarks import complaints
from bench.reporting.view import RankingView, inside, views
from bench_reports.drawings import figure_of, or_gap, panels_drawn, rankings_drawn, style, wrapped
from bench_reports.speed import speed_views, varied

ROW, MARGIN = 0.32, 1.1  # inches
SMALL = 7
DOTS = 200  # an inch, of a PNG
MIB = 2**20

Number = Callable[[Row], float | None]

PANELS: dict[str, Number] = {
    "ms per image-iteration": inside("ms_per_image_iteration", "median"),
    "peak memory above the model, MiB": lambda row: None if (held := row["above_model_bytes"]) is None else held / MIB,
}


class Svg(PictureFormat):
    """One figure."""

    name = "svg"
    suffix = ".svg"
    suffixes = (".svg", ".pdf", ".png")

    def picture(
        self, rows: Sequence[Row], *, suffix: str, inches: float | None, across: str | None, claims: bool
    ) -> bytes:
        with mpl.rc_context(style(inches)):
            figure = _of(rows, inches, across, claims=claims)
            return _file(figure, suffix, complaints(rows))

    def render_speed(self, rows: Sequence[Row], *, title: str) -> str:
        done = [row for row in rows if row["status"] == "done"]
        key = next(iter(varied(done)), None)
        notes = [note for view in speed_views(rows, title) for note in _said(view)] or ["No rows."]
        with mpl.rc_context(style(None)):
            height = 3.2 if key else MARGIN + ROW * max(1, len(done))
            figure, _ = figure_of([], [*_subjects(rows), *notes], None)
            figure.set_figheight(figure.get_figheight() + height)
            heading = _heading(rows, title)
            figure.suptitle(wrapped(heading, figure.get_figwidth()), fontsize=9)
            for axes, (what, number) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
                _lines(axes, done, key, number) if key else _bars(axes, done, number)
                axes.set_title(what, fontsize=9)
            return _file(figure, self.suffix).decode()


def _of(rows: Sequence[Row], inches: float | None, across: str | None, *, claims: bool) -> Figure:
    if not any(row["status"] == "done" for row in rows):
        return figure_of([], complaints(rows) or ["No rows."], inches)[0]
    if any(abs(found.mean or 0.0) + (found.std or 0.0) > FARTHEST for found in map(primary, rows)):
        raise UsageError(f"a result is beyond {FARTHEST:g}, where no axis ends; --format table shows it")
    if across:
        return panels_drawn(panels(rows, across, least=1), inches)
    return rankings_drawn(views(rows, claims=claims), inches, claims=claims)


def _said(view: RankingView) -> list[str]:
    """The notes, without the sources of numbers that are not drawn with a mark."""
    return [note for note in view.notes if not note.startswith("[")]


def _file(figure: Figure, suffix: str, left_out: Sequence[str] = ()) -> bytes:
    """The figure, the same for the same rows; what is left out of it stands in its description."""
    said = "\n".join(left_out) or None
    about = {
        ".svg": {"Date": None, "Description": said},
        ".pdf": {"CreationDate": None, "Subject": said},
        ".png": {"Description": said} if said else {},
    }
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix.removeprefix("."), metadata=about[suffix], dpi=DOTS)
    return buffer.getvalue()


def _bars(axes: Axes, rows: Sequence[Row], number: Number) -> None:
    axes.barh(range(len(rows)), [or_gap(number(row)) for row in rows])
    axes.set_yticks(range(len(rows)), [_series(row) for row in rows], fontsize=SMALL)
    axes.invert_yaxis()


def _lines(axes: Axes, rows: Sequence[Row], key: str, number: Number) -> None:
    for name in dict.fromkeys(map(_series, rows)):
        points = [(row["varied"][key], number(row)) for row in rows if row["varied"] and _series(row) == name]
        places = [value if isinstance(value, int | float) else str(value) for value, _ in points]
        axes.plot(places, [or_gap(height) for _, height in points], "o-", label=name)
    axes.set_xlabel(key)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=SMALL)


def _series(row: Row) -> str:
    return " ".join(filter(None, [row["method"], row["backbone"], row["engine"]]))


def _subjects(rows: Sequence[Row]) -> list[str]:
    """What was measured, said once more in words where nothing of it could be drawn."""
    return [] if any(row["status"] == "done" for row in rows) else list(dict.fromkeys(map(_series, rows)))


def _heading(rows: Sequence[Row], title: str) -> str:
    found = speed_views(rows, title)
    return found[0].heading if found else title


SVG = Svg()
