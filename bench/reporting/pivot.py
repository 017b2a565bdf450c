"""Methods down and networks, datasets or numbers of images across."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from bench.reporting import Row, common, label_facts, machines, rankings, terms
from bench.reporting.amounts import amount, condensed_with
from bench.reporting.best import MARK, is_best, legend
from bench.reporting.columns import Columns, distinct_title, lines
from bench.reporting.units import UNKNOWN, spread
from bench.reporting.view import RankingView, identity
from bench.results.fields import CONTROL
from bench.results.metrics import primary
from bench.storage.streams import one_line

# Across may go what is named here; by it, besides, these fields of a row differ.
ACROSS = {
    "eval_backbone": ("epochs",),
    "ipc": ("epochs",),
    "dataset": ("card_hash", "classes", "all_classes", "class_order_hash", "epochs"),
}


def pivot_views(rows: Sequence[Row], across: str) -> list[RankingView]:
    """One view for all finished rows that share everything which a ranking shares, but for what goes across."""
    return [_view(group, across) for group in comparable(rows, across)]


def comparable(rows: Iterable[Row], across: str) -> list[list[Row]]:
    """The finished rows, each once, in groups that share what a ranking shares, but for what goes across."""
    free = frozenset((across, *ACROSS[across]))
    groups: dict[tuple[Any, ...], dict[int, Row]] = {}
    for ranking in rankings(rows):
        for row in ranking.rows:  # what has no engine stands in two rankings, and here once
            groups.setdefault(terms(row, free), {})[id(row)] = row
    return [_controls_together(list(group.values()), across) for group in groups.values()]


def _controls_together(rows: list[Row], across: str) -> list[Row]:
    """Draws of real images beside which no method stands are of one line with those that are controls."""
    drawn = [row for row in rows if row["method"] == CONTROL]
    places = {(row[across], row["backbone"], row["seed"]) for row in drawn}
    if len(places) < len(drawn) or not any(row.get("is_control") for row in drawn):
        return rows
    return [{**row, "is_control": True} if row["method"] == CONTROL else row for row in rows]


def _view(rows: Sequence[Row], across: str) -> RankingView:
    found: dict[tuple[str, ...], dict[Any, Row]] = {}
    who = named(rows, across)
    for row, name in zip(rows, lines(who), strict=True):
        found.setdefault(name, {}).setdefault(row[across], row)
    columns = sorted({row[across] for row in rows}, key=lambda value: (isinstance(value, str), value))
    ordered = sorted(found.items(), key=lambda line: _place(line[1], columns))
    cells = {
        distinct_title(_title(across, value, rows), who, across): [
            _cell(value, line, found.values()) for _, line in ordered
        ]
        for value in columns
    }
    return RankingView(
        heading=one_line(heading(rows)),
        identity={title: [name[place] for name, _ in ordered] for place, title in enumerate(who)},
        groups=tuple({title: texts} for title, texts in cells.items()),
        notes=(legend(rows), *_notes(rows)),
        rows=tuple(next(iter(line.values())) for _, line in ordered),
    )


def named(rows: Sequence[Row], across: str) -> Columns:
    """Who a line is of; the run's hash tells apart only what would stand in one place."""
    found = identity(rows)
    plain = {title: cells for title, cells in found.items() if title != "run"}
    places = {(name, row[across]) for name, row in zip(lines(plain), rows, strict=True)}
    return found if len(places) < len(rows) else plain


def _title(across: str, value: Any, rows: Sequence[Row]) -> str:  # noqa: ANN401 - any JSON value
    return amount([row for row in rows if row[across] == value]) if across == "ipc" else str(value)


def _place(line: dict[Any, Row], columns: Sequence[Any]) -> tuple[float, ...]:
    return tuple(primary(line[value]).badness if value in line else float("inf") for value in columns)


def _cell(value: Any, line: dict[Any, Row], lines: Any) -> str:  # noqa: ANN401 - any JSON value
    if value not in line:
        return UNKNOWN
    row, found = line[value], primary(line[value])
    others = [other[value] for other in lines if value in other and other[value] is not row]
    mark = MARK if is_best(row, others) else ""
    return f"{spread(found.mean, found.std, row.get('sets') or row.get('eval_seeds'), found.unit)}{mark}"


def heading(rows: Sequence[Row]) -> str:
    """What all of the rows share, in words."""
    of_all = partial(common, rows)
    classes, every = of_all("classes"), of_all("all_classes")
    facts = [
        primary(rows[0]).title,
        of_all("dataset"),
        classes and (f"{classes} of {every} classes" if every and every != classes else f"{classes} classes"),
        of_all("ipc") and amount(rows),
        condensed_with(rows, of_all("backbone")),
        f"{rows[0].get('protocol_id') or rows[0]['protocol']}" + _on(of_all("eval_backbone")),
        label_facts(rows),
        f"{rows[0]['budget']} budget",
        f"{machines(rows)}, {rows[0]['precision']}",
    ]
    return " · ".join(str(fact) for fact in facts if fact)


def _on(backbone: str | None) -> str:
    return f" on {backbone}" if backbone else ""


def _notes(rows: Sequence[Row]) -> list[str]:
    pooled = [row for row in rows if row.get("sets")]
    return [OVER_SETS] if pooled else []


OVER_SETS = "means over sets, each the mean of its trainings; ± is the deviation over sets, their number in brackets"
