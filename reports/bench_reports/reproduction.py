"""A published table beside what was measured for its cells: one view, a line a cell and seed."""

from collections.abc import Sequence
from functools import partial

from bench.reporting import Row, Summary, common, machine, metric
from bench.reporting.cell_numbers import cells_said
from bench.reporting.columns import OF_EVALUATION, OF_PREPARE, OF_SYNTHESIS, TIMES, Quantity, inside, text
from bench.reporting.headings import SEPARATOR, epochs_fact, label_facts
from bench.reporting.remarks import OVER_EITHER, in_company
from bench.reporting.units import claimed, result, spread
from bench.reporting.view import Cell, Footnotes, RankingView, frame, numbers_of, units_of
from bench.storage.streams import one_line

WHERE = {  # fields of a row that say which cell it is; what all cells share stands in the heading
    "dataset": "dataset",
    "backbone": "condensed\nwith",
    "eval_backbone": "trained\non it",
    "protocol": "protocol",
    "seed": "seed",
}
ONE_SET = "published deviations are mostly over sets: --seed 0 --seed 1 --seed 2 judges the mean of three"
LEGEND = (
    "within: the measured mean lies within the published one plus or minus both deviations and half a point (in "
    "percent or points); above, below: it does not; not the same: it is a number of something else, for the reasons "
    "that are given"
)
IDENTITY: dict[str, Cell] = {
    "cell": Quantity(lambda row: str(row["cell"]["number"]), inside("cell", "number")),
    "method": lambda row: str(row["method"]),
    "ipc": Quantity(partial(text, name="ipc"), lambda row: row["ipc"]),
}
COSTS: dict[str, Cell] = {title: TIMES[title] for title in ("prepare", "synthesis", "evaluation")}
TIMED = (OF_PREPARE, OF_SYNTHESIS, OF_EVALUATION)  # who else was at work meanwhile


def reproduction_views(rows: Sequence[Row], title: str) -> list[RankingView]:
    """One view, or none without rows."""
    if not rows:
        return []
    rows, footnotes = [_resolved(row) for row in rows], Footnotes()
    columns = (_scores(rows, footnotes), _where(rows), COSTS)
    groups = [frame(rows, each) for each in columns]
    return [
        RankingView(
            heading=one_line(_heading(rows, title)),
            identity=frame(rows, IDENTITY),
            groups=tuple(group for group in groups if group),
            notes=(
                LEGEND,
                OVER_EITHER,
                *([ONE_SET] if any(map(_is_of_one_set, rows)) else []),
                *in_company(rows, TIMED),
                *map(one_line, [*_remarks(rows), *footnotes.lines()]),
            ),
            rows=tuple(rows),
            numbers=numbers_of(rows, {title: cell for each in (IDENTITY, *columns) for title, cell in each.items()}),
            units=units_of(COSTS),
        )
    ]


def _heading(rows: Sequence[Row], title: str) -> str:
    done = [row for row in rows if row["status"] == "done"]
    shared = [_said(name, str(common(rows, name)), done) for name in WHERE if common(rows, name) is not None]
    machines = dict.fromkeys(f"{machine(row)}, {row['precision']}" for row in done)
    return SEPARATOR.join([title, *shared, *machines])


def _said(name: str, value: str, done: Sequence[Row]) -> str:
    if name == "protocol":
        found = f"protocol {value}{epochs_fact(common(done, 'epochs') if done else None)}"
        return SEPARATOR.join(filter(None, [found, label_facts(done) if done else ""]))
    return {"backbone": "condensed with ", "eval_backbone": "trained on it ", "seed": "seed "}.get(name, "") + value


def _where(rows: Sequence[Row]) -> dict[str, Cell]:
    columns: dict[str, Cell] = {
        heading: partial(_text, name=name) for name, heading in WHERE.items() if common(rows, name) is None
    }
    return columns | {"set by\nthe table": lambda row: " ".join(row["cell"]["set"]) or None}


def _resolved(row: Row) -> Row:
    """The row with the protocol's own name for "paper"."""
    return {**row, "protocol": str(row["protocol_id"]).partition("@")[0]} if row["protocol_id"] else row


def _text(row: Row, name: str) -> str | None:
    return None if row[name] is None else str(row[name])


def _scores(rows: Sequence[Row], footnotes: Footnotes) -> dict[str, Cell]:
    def published(row: Row) -> str:
        cell = row["cell"]
        return f"{claimed(cell['value'], cell['std'], cell['decimals'])} {footnotes.mark(_source(cell))}"

    def verdict(row: Row) -> str | None:
        cell = row["cell"]
        marks = [footnotes.mark(each) for each in (*cell["reasons"], *cell["notes"])]
        return " ".join([cell["verdict"], *marks]) if cell["verdict"] else None

    titles = dict.fromkeys(_score(row).title for row in rows if _score(row).mean is not None)
    apart = len(titles) > 1 or len({_score(row).words for row in rows}) > 1
    several: dict[str, Cell] = {"metric": lambda row: _score(row).words} if apart else {}
    title = "" if several else next(iter(titles), _score(rows[0]).title)
    return several | {
        f"published\n{title}": Quantity(published, inside("cell", "value")),
        f"measured {title}\n(trainings)": Quantity(_measured, lambda row: _score(row).mean),
        "difference": Quantity(_difference, inside("cell", "difference")),
        "verdict": verdict,
    }


def _score(row: Row) -> Summary:
    """Of the metric that the published number is of."""
    return metric(row, row["cell"]["score"])


def _is_of_one_set(row: Row) -> bool:
    """Whether a deviation over trainings stands beside a published one."""
    return _score(row).mean is not None and not row.get("sets") and row["cell"]["std"] is not None


def _source(cell: Row) -> str:
    return f"{cell['source']}: {cell['note']}" if cell["note"] else str(cell["source"])


def _measured(row: Row) -> str | None:
    measured, sets = _score(row), row.get("sets")
    found = spread(measured.mean, measured.std, sets or len(measured.values), measured.unit)
    return f"{found} sets" if sets and found else found


def _difference(row: Row) -> str | None:
    difference = row["cell"]["difference"]
    return None if difference is None else result(difference, _score(row).unit, sign="+")


def _remarks(rows: Sequence[Row]) -> list[str]:
    """What a line says besides: why it has no number, what of it is old, what should be doubted."""
    said: dict[str, list[int]] = {}
    for row in rows:
        without = [] if row["status"] == "done" else [f"{row['status']}: {row['reason'] or 'no reason was given'}"]
        old = [f"stale: {each}" for each in row["cell"]["stale"]]
        for what in (*without, *old, *(row["warnings"] or ())):
            said.setdefault(what, []).append(row["cell"]["number"])
    return [f"{cells_said(list(dict.fromkeys(cells)))}: {what}" for what, cells in said.items()]
