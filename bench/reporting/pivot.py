"""Methods down and networks, datasets or numbers of images across."""

from collections.abc import Iterable, Sequence
from typing import Any

from bench.reporting import Row, rankings, terms
from bench.reporting.amounts import amount
from bench.reporting.columns import Columns, distinct_title, lines
from bench.reporting.headings import SEPARATOR, heading
from bench.reporting.naming import Whom
from bench.reporting.remarks import of_results
from bench.reporting.statistics.best import MARK, is_best, legend
from bench.reporting.units import UNKNOWN, spread
from bench.reporting.view import RankingView, identity, name_of
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
    free = _free(across)
    groups: dict[tuple[Any, ...], dict[int, Row]] = {}
    for ranking in rankings(rows):
        for row in ranking.rows:  # what has no engine stands in two rankings, and here once
            groups.setdefault(terms(row, free), {})[id(row)] = row
    return [_controls_together(list(group.values()), across) for group in groups.values()]


def _free(across: str) -> frozenset[str]:
    return frozenset((across, *ACROSS[across]))


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
        heading=title_of(rows),
        identity={title: [name[place] for name, _ in ordered] for place, title in enumerate(who)},
        groups=tuple({title: texts} for title, texts in cells.items()),
        notes=(*_of_best(rows, cells.values()), *remarks(rows, who, across)),
        rows=tuple(next(iter(line.values())) for _, line in ordered),
        name=name_of(f"over {across}", rows, _free(across)),
        numbers={
            title: [primary(line[value]).mean if value in line else None for _, line in ordered]
            for title, value in zip(cells, columns, strict=True)
        },
    )


def _of_best(rows: Sequence[Row], cells: Iterable[Sequence[str]]) -> list[str]:
    """What the mark of the best means, or that none has it; nothing where no row stands beside another."""
    beside = any(sum(text != UNKNOWN for text in texts) > 1 for texts in cells)
    return [legend(rows, marked=any(text.endswith(MARK) for texts in cells for text in texts))] if beside else []


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


def title_of(rows: Sequence[Row]) -> str:
    """What all of the rows share, in one line, with the metric after what they are of."""
    of, *facts = heading(rows).split(SEPARATOR)
    return one_line(SEPARATOR.join([of, primary(rows[0]).title, *facts]))


def remarks(rows: Sequence[Row], who: Columns, across: str) -> list[str]:
    """What is said of the rows, each named by its place across as well, and what differs with that."""
    places = dict(who)
    places[distinct_title(across, who, "across")] = [place(across, row[across]) for row in rows]
    whom = Whom(rows, places)
    return [*of_results(rows, whom), *_epochs(rows, across)]


def place(across: str, value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Where something stands, in words: "ipc 10", or the name of a network or dataset."""
    return f"ipc {value}" if across == "ipc" else one_line(str(value))


def _epochs(rows: Sequence[Row], across: str) -> list[str]:
    """How long was trained where, if it is not as long everywhere."""
    found: dict[Any, list[str]] = {}
    for value in sorted({row[across] for row in rows}):
        for epochs in dict.fromkeys(row.get("epochs") for row in rows if row[across] == value):
            found.setdefault(epochs, []).append(place(across, value))
    said = "; ".join(f"{epochs} at {', '.join(where)}" for epochs, where in found.items() if epochs is not None)
    return [f"epochs: {said}"] if len(found) > 1 else []
