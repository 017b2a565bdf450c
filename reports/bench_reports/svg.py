"""Figures, drawn by matplotlib: as SVG, text that browsers show, as PDF and, for slides and issues, as PNG.

Of a comparison: a panel a ranking, its methods by their primary metric with the spread over trainings, the control as a
line across, published numbers as diamonds; or results over images per class, networks or datasets. Of speeds: time and
memory, as bars, or over the hyper-parameter that was varied. What is not drawn, rows without a result among it, stands
in the description that the file carries.
"""

import io
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.errors import UsageError
from bench.reporting import Row, primary
from bench.reporting.panels import FARTHEST, panels
from bench.reporting.pictures import PictureFormat
from bench.reporting.remarks import complaints
from bench.reporting.view import views
from bench_reports.drawings import panels_drawn, rankings_drawn
from bench_reports.sheets import small_print_alone, style
from bench_reports.speed_drawings import speeds_drawn

DOTS = 200  # an inch, of a PNG


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
        with mpl.rc_context(style(None)):
            return _file(speeds_drawn(rows, title), self.suffix).decode()


def _of(rows: Sequence[Row], inches: float | None, across: str | None, *, claims: bool) -> Figure:
    if not any(row["status"] == "done" for row in rows):
        return small_print_alone(complaints(rows) or ["No rows."], inches)
    if any(abs(found.mean or 0.0) + (found.std or 0.0) > FARTHEST for found in map(primary, rows)):
        raise UsageError(f"a result is beyond {FARTHEST:g}, where no axis ends; --format table shows it")
    if across:
        return panels_drawn(panels(rows, across, least=1), inches)
    return rankings_drawn(views(rows, claims=claims), inches, claims=claims)


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


SVG = Svg()
