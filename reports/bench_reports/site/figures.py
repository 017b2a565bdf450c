"""Figures: accuracy against images per class and against costs, and over networks.

Their axes are matplotlib's, their marks are written as SVG by a template. Measured with six methods over three numbers
of images: plotly.js is 4.8 MB in every page that shows a figure; Vega-Altair's scripts are 0.9 MB, come with a renderer
of 30 MB, and evaluate code, which our pages forbid; a figure that matplotlib draws is 24 kB and takes 0.13 s of CPU,
which for a site of 2,000 runs is more than all of its pages, and its colours are fixed when it is drawn. Written by a
template it is 5 kB and 1 ms, each mark is a link to its run that the keyboard reaches and that says its numbers, and
its colours follow the page, light or dark. A figure over networks is a table whose cells are coloured.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.reporting import Ranking, Row, primary, rankings
from bench.reporting.columns import OF_SET, OF_SYNTHESIS, Company
from bench.reporting.layout import flat, unit_of
from bench.reporting.naming import Whom, line_names
from bench.reporting.panels import Panel, of_best_at, panels
from bench.reporting.remarks import of_results, stored
from bench.reporting.statistics.best import MARK, is_best
from bench.reporting.units import digits, duration, size, spread
from bench.reporting.view import identity, inside
from bench.storage.streams import one_line
from bench_reports.looks import Look, Looks
from bench_reports.site.axes import Axis, axis
from bench_reports.site.rankings import NONE, Remarks, remarks_of, told_apart

LEFT, RIGHT, TOP, BOTTOM = 54.0, 390.0, 12.0, 222.0  # pixels of the plot within its picture
SHAPES = 8
CONTROL = "control"  # a colour of its own

Number = Callable[[Row], float | None]


@dataclass(frozen=True)
class Cost:
    """What an accuracy is held against: its title, its number, its units from the largest, and how one is told.

    Attributes:
        unlike: in what some rows differ so that their costs are no rivals, in words; nothing where they are.
    """

    title: str
    number: Number
    units: Sequence[tuple[str, float]]
    told: Callable[[float], str | None]
    unlike: Callable[[Sequence[Row], Whom], Sequence[str]] = lambda rows, whom: ()

    def unit(self, values: Sequence[float]) -> tuple[str, float]:
        """The title with the unit in which the middle of these values is at least one, and how much that unit is."""
        name, much = unit_of(values, self.units)
        return f"{name} {self.title}", much


@dataclass(frozen=True)
class Mark:
    """A result in a figure: its place, the ends of its deviation, what it says, where it leads."""

    x: float
    y: float
    ends: tuple[float, float] | None
    said: str
    link: str


@dataclass(frozen=True)
class Series:
    """What has one colour and one shape; `line` goes through its marks, as SVG's points."""

    name: str
    colour: str
    shape: int
    marks: Sequence[Mark]
    line: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure: what it shows, its axes with their titles, its series, and the Pareto front as SVG's points.

    Attributes:
        note: why there is no front, where one would mislead.
        remarks: what is said of its results, where it stands alone.
    """

    heading: str
    said: str
    x: Axis
    y: Axis
    x_title: str
    y_title: str
    series: Sequence[Series]
    front: str = ""
    note: str = ""
    remarks: Remarks = NONE


@dataclass(frozen=True)
class Heat:
    """Results over networks: a line a method, with what each cell says, its share of the range (0 to 1), its link."""

    heading: str
    title: str
    columns: Sequence[str]
    lines: Sequence[tuple[str, Sequence[tuple[str, float | None, str]]]]
    remarks: Remarks = NONE


@dataclass(frozen=True)
class Costly:
    """A ranking's figures, their colours and shapes, and what is said; its heading divided as in the index."""

    title: str
    facts: Sequence[str]
    figures: Sequence[Figure]
    legend: Sequence[Series]
    remarks: Remarks


TIMES = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
SIZES = (("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10))
COSTS = (
    Cost(
        "per image and iteration",
        lambda row: _alone(row, inside("ms_per_image_iteration", "median"), OF_SYNTHESIS),
        (("ms", 1.0),),
        lambda value: f"{digits(value)} ms",
    ),
    Cost("to make", lambda row: _alone(row, lambda row: row.get("total_s"), OF_SET), TIMES, duration),
    Cost("of images", lambda row: row.get("set_bytes"), SIZES, size, stored),
    Cost("of labels", lambda row: row.get("label_bytes"), SIZES, size),
)


def over_ipc(rows: Sequence[Row], names: Mapping[str, str]) -> list[Figure]:
    """Accuracy against images per class, a figure for all that shares the rest."""
    looks = Looks(rows)
    return [_over_ipc(panel, looks, names) for panel in panels(rows, "ipc")]


def over_costs(rows: Sequence[Row], names: Mapping[str, str]) -> list[Costly]:
    """By ranking, accuracy against each cost that tells at least two of its rows apart."""
    looks = Looks(rows)
    drawn = [(ranking, _over_costs(ranking, looks, names)) for ranking in rankings(rows)]
    found = [(ranking, figures) for ranking, figures in drawn if figures]
    told = told_apart([one_line(ranking.heading) for ranking, _ in found])
    return [
        Costly(*each, figures, _legend(figures), remarks_of(_said(ranking.rows)))
        for each, (ranking, figures) in zip(told, found, strict=True)
    ]


def _said(rows: Sequence[Row]) -> list[str]:
    return of_results(rows, Whom(rows, identity(rows)))


def over_networks(rows: Sequence[Row], names: Mapping[str, str]) -> list[Heat]:
    """Accuracy by the network that was trained."""
    return [_heat(panel, names) for panel in panels(rows, "eval_backbone")]


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The places of the points (cost, badness) that no other beats: none is as good in both and better in one."""
    best, found = float("inf"), []
    for place in sorted(range(len(points)), key=lambda place: points[place]):
        if points[place][1] < best:
            best = points[place][1]
            found.append(place)
    return found


def _alone(row: Row, time: Number, by: Company) -> float | None:
    """A time, where nobody else was at work on the machine while it was taken: others are not held against it."""
    return None if by.disturbed(row) else time(row)


def _legend(figures: Sequence[Figure]) -> list[Series]:
    return list({series.name: series for figure in figures for series in figure.series}.values())


def _series(name: str, look: Look, marks: Sequence[Mark], line: str = "") -> Series:
    return Series(name, CONTROL if look.colour is None else f"c{look.colour}", look.mark % SHAPES, marks, line)


def _over_ipc(panel: Panel, looks: Looks, names: Mapping[str, str]) -> Figure:
    rows = [row for line in panel.lines.values() for row in line.values()]
    x, y = axis(panel.values, LEFT, RIGHT, panel.values), _scores(rows)
    look = looks.of(panel.named)
    series = []
    for name, line in panel.lines.items():
        found = sorted(line.items())
        marks = [_mark(row, x.place(ipc), y, f"{name}, ipc {ipc}", names) for ipc, row in found]
        series.append(_series(name, look[name], marks, points([(mark.x, mark.y) for mark in marks])))
    title = primary(rows[0]).title
    said = f"{title} against images per class, of {', '.join(panel.lines)}"
    remarks = remarks_of(panel.notes)
    return Figure(panel.heading, said, x, y, "images per class", title, _controls_above(series), remarks=remarks)


def _over_costs(ranking: Ranking, looks: Looks, names: Mapping[str, str]) -> list[Figure]:
    words = line_names(who := identity(ranking.rows))
    look, whom = looks.of(dict(zip(words, ranking.rows, strict=True))), Whom(ranking.rows, who)
    figures = []
    for cost in COSTS:
        known = [
            (word, row, value) for word, row in zip(words, ranking.rows, strict=True) if (value := cost.number(row))
        ]
        if len({value for *_, value in known}) > 1:
            unlike = "; ".join(cost.unlike([row for _, row, _ in known], whom))
            figures.append(_over_cost(cost, known, look, names, unlike))
    return figures


def _over_cost(
    cost: Cost,
    known: Sequence[tuple[str, Row, float]],
    look: Mapping[str, Look],
    names: Mapping[str, str],
    unlike: str,
) -> Figure:
    rows = [row for _, row, _ in known]
    across, unit = cost.unit([value for *_, value in known])
    x, y, title = axis([value / unit for *_, value in known], LEFT, RIGHT), _scores(rows), primary(rows[0]).title
    series = []
    for word, row, value in known:
        mark = _mark(row, x.place(value / unit), y, f"{word}, {cost.told(value)}", names)
        series.append(_series(word, look[word], [mark]))
    best = [] if unlike else front([(value, primary(row).badness) for _, row, value in known])
    edge = [(series[place].marks[0].x, series[place].marks[0].y) for place in best]
    note = f"{unlike}; no rivals, so no Pareto front" if unlike else ""
    found = note or f"on the Pareto front: {', '.join(known[place][0] for place in best)}"
    said = f"{title} against {across}; {found}"
    return Figure(across, said, x, y, across, title, _controls_above(series), _steps(edge), note)


def _controls_above(series: Sequence[Series]) -> list[Series]:
    """What is drawn last lies above the others, and controls, which are hollow, hide nothing."""
    return sorted(series, key=lambda each: each.colour == CONTROL)


def _scores(rows: Sequence[Row]) -> Axis:
    """The axis of the primary metric, deviations within."""
    found = [primary(row) for row in rows]
    known = [(each.mean, each.std or 0.0) for each in found if each.mean is not None]
    return axis([value for mean, std in known for value in (mean - std, mean + std)] or [0.0, 1.0], BOTTOM, TOP)


def _mark(row: Row, x: float, y: Axis, said: str, names: Mapping[str, str]) -> Mark:
    score = primary(row)
    assert score.mean is not None, "rankings hold what was measured"
    ends = (y.place(score.mean - score.std), y.place(score.mean + score.std)) if score.std else None
    told = spread(score.mean, score.std, row.get("sets") or row.get("eval_seeds"), score.unit)
    return Mark(x, y.place(score.mean), ends, f"{said}: {score.title} {told}", names.get(row["run"], ""))


def points(places: Sequence[tuple[float, float]]) -> str:
    """As SVG writes them."""
    return " ".join(f"{x:g},{y:g}" for x, y in places)


def _steps(edge: Sequence[tuple[float, float]]) -> str:
    """The border of what can be had: a cost buys what a lower one did until the next point."""
    corners = [(x, before[1]) for before, (x, _) in pairwise(edge)]
    last = [(RIGHT, y) for _, y in edge[-1:]]
    path = [point for pair in zip(edge, [*corners, *last], strict=True) for point in pair]
    return points(path)


def _heat(panel: Panel, names: Mapping[str, str]) -> Heat:
    rows = [row for line in panel.lines.values() for row in line.values()]
    means = [mean for row in rows if (mean := primary(row).mean) is not None]
    low, high = min(means), max(means)
    lines = [
        (name, [_cell(line.get(value), panel.rows_at(value), low, high, names) for value in panel.values])
        for name, line in panel.lines.items()
    ]
    columns = [*map(one_line, panel.values)]
    notes = [*of_best_at(panel), *panel.notes]
    return Heat(panel.heading, flat(primary(rows[0]).title), columns, lines, remarks_of(notes))


def _cell(
    row: Row | None, beside: Sequence[Row], low: float, high: float, names: Mapping[str, str]
) -> tuple[str, float | None, str]:
    """Of a row of those that stand beside each other."""
    mean = primary(row).mean if row else None
    if row is None or mean is None:
        return "–", None, ""
    share = (mean - low) / (high - low) if high > low else 0.5
    told = spread(mean, primary(row).std, None, primary(row).unit) or ""
    mark = MARK if is_best(row, [other for other in beside if other is not row]) else ""
    return told + mark, round(share, 2), names.get(row["run"], "")
