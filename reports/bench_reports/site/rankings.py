"""The tables of the index: one a ranking, and what has no result."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.reporting import Row, machine, primary, unmeasured
from bench.reporting.columns import lines as texts_of
from bench.reporting.headings import SEPARATOR
from bench.reporting.layout import alignment, beside, flat
from bench.reporting.statistics.pooling import runs_of
from bench.reporting.units import UNKNOWN
from bench.reporting.view import RankingView, views
from bench.storage.streams import one_line
from bench_reports.site.tables import Cell, Line, Table

FACETS = {
    "dataset": "dataset",
    "ipc": "images per class",
    "protocol": "protocol",
    "backbone": "condensed with",
    "eval_backbone": "trained network",
    "device": "device",
    "budget": "budget",
    "method": "method",
}
OF_ROWS = ("method", "backbone")  # the others are the same in all of a ranking
WARNING = "warning, "
PAGES = "seeds"


@dataclass(frozen=True)
class Remarks:
    """What a reader should doubt, and what one should know."""

    warnings: Sequence[str] = ()
    notes: Sequence[str] = ()


NONE = Remarks()


def remarks_of(notes: Sequence[str]) -> Remarks:
    """The notes of a view, divided."""
    doubted = [note.startswith(WARNING) for note in notes]
    return Remarks(
        *([note for note, is_one in zip(notes, doubted, strict=True) if is_one is of] for of in (True, False))
    )


@dataclass(frozen=True)
class Section:
    """A ranking as the index shows it.

    Attributes:
        title, facts: its heading, divided.
        facets: by name, what all of its rows share.
        remarks: what is said of it.
    """

    title: str
    facts: Sequence[str]
    table: Table
    facets: Mapping[str, str]
    remarks: Remarks


@dataclass(frozen=True)
class Overview:
    """All of the index.

    Attributes:
        rankings: in their order.
        without: the rows without a result, or None.
        runs, rows: how many there are.
    """

    rankings: Sequence[Section]
    without: Table | None
    runs: int
    rows: int


def overview(rows: Sequence[Row], names: Mapping[str, str], *, claims: bool) -> Overview:
    """The tables of all rows, each row leading to its run's page where `names` has one."""
    shown = views(rows, claims=claims)
    told = told_apart([view.heading for view in shown])
    found = [_section(view, names, *each) for view, each in zip(shown, told, strict=True)]
    return Overview(
        found, _without(unmeasured(rows), names), len({run for row in rows for run in runs_of(row)}), len(rows)
    )


def facets(found: Overview) -> dict[str, tuple[str, list[str]]]:
    """What can be chosen: by facet, its title and its values; without those that have one value only."""
    values: dict[str, set[str]] = {name: set() for name in FACETS}
    for name, value in _facets(found):
        values[name].add(value)
    return {name: (FACETS[name], sorted(each, key=_natural)) for name, each in values.items() if len(each) > 1}


def facets_of(row: Row) -> dict[str, str]:
    """By what a row is found."""
    named = {**row, "protocol": row.get("protocol_id") or row["protocol"], "device": machine(row)}
    return {name: one_line(named.get(name) if named.get(name) is not None else "unknown") for name in FACETS}


def _facets(found: Overview) -> Iterator[tuple[str, str]]:
    for section in found.rankings:
        yield from section.facets.items()
    for table in [*(section.table for section in found.rankings), *([found.without] if found.without else [])]:
        for line in table.lines:
            yield from line.facets.items()


def _natural(value: str) -> tuple[bool, float, str]:
    """Numbers by their size, before words."""
    return (False, float(value), "") if value.isdecimal() else (True, 0.0, value)


def view_sections(shown: Sequence[RankingView]) -> list[Section]:
    """Any views as they are: their columns in their order, their numbers to sort by; nothing leads anywhere."""
    told = told_apart([view.heading for view in shown])
    return [_as_it_is(view, *each) for view, each in zip(shown, told, strict=True)]


def _as_it_is(view: RankingView, title: str, facts: Sequence[str]) -> Section:
    columns = beside(view.identity, *view.groups)
    lines = [Line(_cells(view, place, columns, texts)) for place, texts in enumerate(texts_of(columns))]
    return _told(view, Table(view.heading, list(map(flat, columns)), _numeric(columns), lines), {}, title, facts)


def _numeric(titles: Iterable[str]) -> list[bool]:
    return [side == "right" for side in alignment(titles)]


def _cells(view: RankingView, place: int, titles: Iterable[str], texts: Sequence[str]) -> list[Cell]:
    return [_cell(view, title, place, text) for title, text in zip(titles, texts, strict=True)]


def _cell(view: RankingView, title: str, place: int, text: str) -> Cell:
    return Cell(text, view.numbers[title][place] if title in view.numbers else None)


def _section(view: RankingView, names: Mapping[str, str], title: str, facts: Sequence[str]) -> Section:
    shared = {name: value for name, value in facets_of(view.rows[0]).items() if name not in OF_ROWS}
    return _told(view, _table(view, names), shared, title, facts)


def _told(view: RankingView, table: Table, shared: Mapping[str, str], title: str, facts: Sequence[str]) -> Section:
    return Section(title=title, facts=facts, table=table, facets=shared, remarks=remarks_of(view.notes))


def told_apart(headings: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Each heading's title, and the rest of its facts.

    Titles that are alike get the first fact that not all of them share, until no two are.
    """
    divided = [(title, facts) for title, *facts in (heading.split(SEPARATOR) for heading in headings)]
    while (made := _with_a_fact(divided)) != divided:
        divided = made
    return divided


def _with_a_fact(divided: Sequence[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    alike: dict[str, list[list[str]]] = {}
    for title, facts in divided:
        alike.setdefault(title, []).append(facts)
    shared = {title: set(every[0]).intersection(*every) for title, every in alike.items()}
    made = []
    for title, facts in divided:
        own = next((fact for fact in facts if fact not in shared[title]), None)
        rest = [fact for fact in facts if fact != own]
        made.append((title if own is None else f"{title}{SEPARATOR}{own}", rest))
    return made


def _table(view: RankingView, names: Mapping[str, str]) -> Table:
    """The columns of the view, scores first after the method, which leads to the run: a phone shows those at once."""
    ranked = primary(view.rows[0])
    groups = sorted(view.groups, key=lambda group: not _is_of(ranked.title, next(iter(group))))
    columns = beside(view.identity, *groups)
    lines = [_line(view, place, columns, texts, names) for place, texts in enumerate(texts_of(columns))]
    place = next(place for place, title in enumerate(columns) if _is_of(ranked.title, title))
    table = Table(
        view.heading, list(map(flat, columns)), _numeric(columns), lines, ranked=place, rising=ranked.better == "lower"
    )
    return _with_pages(table, view.rows, names) if names and any(row.get("runs") for row in view.rows) else table


def _with_pages(table: Table, rows: Sequence[Row], names: Mapping[str, str]) -> Table:
    """Beside the scores of means the seeds that they are of, each leading to its run: no page is that of a line."""
    after, pages = table.ranked + 1, [_pages(row, names) for row in rows]
    lines = [
        replace(line, cells=[*line.cells[:after], cell, *line.cells[after:]])
        for line, cell in zip(table.lines, pages, strict=True)
    ]
    titles, numeric = table.titles, table.numeric
    return replace(
        table,
        titles=[*titles[:after], PAGES, *titles[after:]],
        numeric=[*numeric[:after], False, *numeric[after:]],
        lines=lines,
    )


def _pages(row: Row, names: Mapping[str, str]) -> Cell:
    links = [(str(seed), names.get(run, "")) for seed, run in zip(row["seeds"], row["runs"], strict=True)]
    return Cell("", links=links)


def _is_of(metric: str, title: str) -> bool:
    """Whether a column is that of the metric, over trainings or sets."""
    return title.startswith(f"{metric}\n(")


def _line(view: RankingView, place: int, titles: Iterable[str], texts: Sequence[str], names: Mapping[str, str]) -> Line:
    row = view.rows[place]
    cells = _cells(view, place, titles, texts)
    own = {name: value for name, value in facets_of(row).items() if name in OF_ROWS}
    kind = "control" if row.get("is_control") else ""
    return Line([Cell(texts[0], link=names.get(row["run"], "")), *cells[1:]], own, kind)


def _without(rows: Sequence[Row], names: Mapping[str, str]) -> Table | None:
    if not rows:
        return None
    titles = ("method", "dataset", "IPC", "condensed with", "protocol", "trained network", "state", "reason")
    numeric = [title == "IPC" for title in titles]
    return Table("Runs without a result, and why", titles, numeric, [_unmeasured(row, names) for row in rows])


def _unmeasured(row: Row, names: Mapping[str, str]) -> Line:
    facts: list[Any] = [row["dataset"], row["ipc"], row.get("set") or row["backbone"]]
    facts += [row.get("protocol_id") or row["protocol"], row.get("eval_backbone"), row["status"]]
    reason = one_line(row.get("reason") or "no reason was recorded")
    head = Cell(one_line(row["method"]), link=names.get(row["run"], ""))
    cells = [Cell(UNKNOWN if fact is None else one_line(fact)) for fact in facts]
    return Line([head, *cells, Cell(reason)], facets_of(row), "without")
