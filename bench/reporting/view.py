"""A ranking as a reader sees it: titled columns of text, without those that say nothing."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from bench.reporting import OWN, Ranking, Row, common, rankings, terms
from bench.reporting.columns import (
    COSTS,
    TIMES,
    Columns,
    Quantity,
    distinct_title,
    lines,
    method_of,
    plain,
    quantity,
    text,
)
from bench.reporting.columns import Cell as Cell
from bench.reporting.columns import inside as inside
from bench.reporting.headings import ZCA, is_of_reference
from bench.reporting.naming import MADE_IN, Whom, table_name
from bench.reporting.remarks import (
    WITHIN_A_SET,
    machines,
    of_costs,
    of_results,
    stalled,
    stored,
    threads,
    unsaid,
    unsteady,
)
from bench.reporting.statistics.best import MARK, is_best, legend
from bench.reporting.statistics.pooling import runs_of
from bench.reporting.units import UNKNOWN, claimed, digits, percent, result, spread
from bench.results import changes, metrics
from bench.results.doubts import RECOGNISED
from bench.storage.streams import one_line

SETS = "sets"
WITHIN, TOP5, PUBLISHED = "within\na set", "top-5 %", "published"  # titles


@dataclass(frozen=True)
class RankingView:
    """One ranking, ready to be laid out.

    Attributes:
        heading, notes: as in `Ranking`, with one line for each source of a published number.
        identity: the columns that say which row it is; every part of a divided table repeats them.
        groups: the other columns in groups that belong together.
        rows: what the columns show, in their order.
        name: what it is referred to by, whatever stands beside it; "" of a table that stands alone.
        aside: those of the notes that are of costs, and of sources of published numbers.
        numbers: of columns that show numbers, by title, the number of each row, or None: what a reader may sort by.
        units: of those that show durations or sizes, in which units they may be shown.
        ranked_by: the title of the column that ranks the rows, the best first; "" for none.
    """

    heading: str
    identity: Columns
    groups: tuple[Columns, ...]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    numbers: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    units: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    ranked_by: str = ""
    aside: tuple[str, ...] = ()
    name: str = ""


@dataclass
class Footnotes:
    """Numbers the sources of published values in the order they are met."""

    texts: list[str] = field(default_factory=list)

    def mark(self, text: str) -> str:
        """The mark of a text: "[1]"."""
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"

    def lines(self) -> list[str]:
        """Each mark with its text."""
        return [f"[{number}] {text}" for number, text in enumerate(self.texts, 1)]


def views(rows: Sequence[Row], *, claims: bool) -> list[RankingView]:
    """The rankings of all done rows."""
    return [_view(ranking, claims) for ranking in rankings(rows)]


def _view(ranking: Ranking, claims: bool) -> RankingView:
    rows, footnotes = ranking.rows, Footnotes()
    who, labels = identity(rows), _labels(rows)
    whom = Whom(rows, who)
    scores = _scores(rows, (*who, *labels, *COSTS, *TIMES))
    if claims:
        scores[PUBLISHED] = Quantity(lambda row: _published(row, footnotes), inside("claim", "value"))
    titled = (labels, scores, COSTS, TIMES)
    ranked_by = next(iter(scores))
    groups = [with_best(frame(rows, columns), ranked_by, rows) for columns in titled]
    aside = (
        *machines(rows, whom),
        *of_costs(rows),
        *stored(rows, whom),
        *threads(rows, whom),
        *unsteady(rows, whom),
        *stalled(rows, whom),
        *unsaid(rows, whom),
        *footnotes.lines(),
    )
    within = [WITHIN_A_SET] if any(WITHIN in group for group in groups) else []
    return RankingView(
        heading=one_line(ranking.heading),
        identity=who,
        groups=tuple(group for group in groups if group),
        notes=(*of_best(rows), *of_results(rows, whom), *within, *aside),
        rows=tuple(rows),
        numbers=numbers_of(rows, {title: cell for columns in titled for title, cell in columns.items()}),
        units=units_of(COSTS) | units_of(TIMES),
        ranked_by=ranked_by,
        aside=aside,
        name=name_of("", rows),
    )


def name_of(what: str, rows: Sequence[Row], free: Container[str] = ()) -> str:
    """As `RankingView.name`, of rows that share what a ranking shares, but for some fields.

    Args:
        what: the table is, beside others of the same rows: "scores".
    """
    fields = [name for name in ("dataset", "ipc", "protocol_id", "eval_backbone") if name not in free]
    return table_name(what, rows[0], fields, [terms(rows[0], free), is_of_reference(rows)])


def numbers_of(rows: Sequence[Row], columns: Mapping[str, Cell]) -> Mapping[str, Sequence[float | None]]:
    """As `RankingView.numbers`."""
    return _Numbers(rows, columns)


class _Numbers(Mapping[str, Sequence[float | None]]):
    """Each column is read once it is asked for: most forms ask for none."""

    def __init__(self, rows: Sequence[Row], columns: Mapping[str, Cell]) -> None:
        self._rows, self._known = rows, dict[str, list[float | None]]()
        self._cells = {title: cell for title, cell in columns.items() if isinstance(cell, Quantity)}

    def __getitem__(self, title: str) -> Sequence[float | None]:
        if title not in self._known:
            self._known[title] = list(map(self._cells[title].order, self._rows))
        return self._known[title]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)


def units_of(columns: Mapping[str, Cell]) -> dict[str, Sequence[tuple[str, float]]]:
    """As `RankingView.units`."""
    return {title: cell.units for title, cell in columns.items() if isinstance(cell, Quantity) and cell.units}


def frame(rows: Sequence[Row], columns: Mapping[str, Cell]) -> Columns:
    """The columns as text; what is not known is a dash, and a column of nothing else is left out."""
    made = {title: [_cleaned(cell(row)) for row in rows] for title, cell in columns.items()}
    return {
        title: [UNKNOWN if text is None else text for text in texts]
        for title, texts in made.items()
        if any(text is not None for text in texts)
    }


def _cleaned(text: str | None) -> str | None:
    return None if text is None else one_line(text)


def with_best(columns: Columns, title: str, rows: Sequence[Row]) -> Columns:
    """The columns of a ranking; in that which ranks it the first row has a mark, where nothing is level with it."""
    if title not in columns or not is_best(rows[0], rows[1:]):
        return columns
    first, *others = columns[title]
    return {**columns, title: [first + MARK, *others]}


def of_best(rows: Sequence[Row]) -> list[str]:
    """What that mark means, or that none has it; nothing of one row."""
    return [legend(rows, marked=is_best(rows[0], rows[1:]))] if len(rows) > 1 else []


def identity(rows: Sequence[Row]) -> Columns:
    """The method, and what else tells rows apart: set, backbone, seed, arithmetic, changes; or else the run's hash.

    Means over seeds have no seed, not even those of one.
    The heading names the arithmetic of evaluations, which all share.
    """
    columns: dict[str, Cell] = {"method": method_of}
    if any(row.get("imported") for row in rows):
        columns["set"] = partial(text, name="set")
    of_sets = any(row.get("sets") for row in rows)  # then one of a single seed is no other line than one of several
    for name in ("backbone", *(() if of_sets else ("seed",))):
        if common(rows, name) is None:
            columns[name] = partial(text, name=name)
    if any(row.get("synthesis_precision") not in (None, row["precision"]) for row in rows):
        columns[MADE_IN] = _made_in
    if distinct := changes.DistinctChanges(rows):
        columns["changed"] = distinct.told
    found = frame(rows, columns)
    if len(set(lines(found))) < len(rows):
        found["run"] = [", ".join(one_line(run).rpartition("-")[2] for run in runs_of(row)) for row in rows]
    return found


def _made_in(row: Row) -> str | None:
    """The arithmetic of the synthesis, of images that were computed and not picked."""
    return None if row.get("iterations") is None else row.get("synthesis_precision")


def _labels(rows: Sequence[Row]) -> dict[str, Cell]:
    """Columns for what the heading cannot say of all rows at once."""
    columns: dict[str, Cell] = {}
    if len({_label(row) for row in rows}) > 1:
        columns["labels"] = _label
    if common(rows, "preprocessing") is None and any(row.get("preprocessing") == ZCA for row in rows):
        columns["pre-\nprocessing"] = partial(text, name="preprocessing")
    if common(rows, "teacher_top1") is None:
        columns["teacher\ntop-1 %"] = plain("teacher_top1", percent)
    recognised = inside("teacher_on_set", "top1")
    if any((found := recognised(row)) is not None and found < RECOGNISED for row in rows):
        columns["teacher on\nthe set %"] = quantity(recognised, percent)
    return columns


def _label(row: Row) -> str | None:
    """The kind, and for a set's own labels the method that made them."""
    kind = row.get("label_kind")
    return f"{kind}, {row.get('labels_of') or row['method']}" if kind in ("online", "stored", *OWN) else kind


def _scores(rows: Sequence[Row], others: Iterable[str]) -> dict[str, Cell]:
    """The primary metric with its spread, then the means of others, in columns with none of the other titles."""
    taken = (*others, WITHIN, TOP5, PUBLISHED)
    title = f"{metrics.primary(rows[0]).title}\n({_over(rows)})"
    columns: dict[str, Cell] = {title: Quantity(_primary, _ranked_by)}
    if _over(rows) == SETS:
        columns[WITHIN] = Quantity(_within, lambda row: row.get("within"))
    for name in metrics.others(rows):
        measured = [found for row in rows if (found := metrics.metric(row, name)).mean is not None]
        for title in [distinct_title(each.title, (*taken, *columns), "metric") for each in measured[:1]]:
            columns[title] = Quantity(partial(_mean, name=name), _mean_of(name))
    return {**columns, TOP5: plain("top5_mean", percent)}


def _primary(row: Row) -> str | None:
    found = metrics.primary(row)
    return spread(found.mean, found.std, row.get("sets") or row.get("eval_seeds"), found.unit)


def _within(row: Row) -> str | None:
    found, within = metrics.primary(row), row.get("within")
    return None if within is None else f"± {result(within, found.unit, found.mean)}"


def _over(rows: Sequence[Row]) -> str:
    """What means and deviations are over."""
    return SETS if any(row.get("sets") for row in rows) else "trainings"


def _ranked_by(row: Row) -> float | None:
    return metrics.primary(row).mean


def _mean_of(name: str) -> Callable[[Row], float | None]:
    return lambda row: metrics.metric(row, name).mean


def _mean(row: Row, name: str) -> str | None:
    found = metrics.metric(row, name)
    return percent(found.mean) if found.unit == "%" else digits(found.mean)


def _published(row: Row, footnotes: Footnotes) -> str | None:
    claim = row.get("claim")
    if not claim:
        return None
    said = [claim["source"], claim.get("note")]
    if {row["budget"], row.get("set_budget")} - {None, claim.get("budget")}:
        said.append("at the paper's budget, not this run's")
    if differs := row.get("differs"):
        said.append(f"differing here: {', '.join(differs)}")
    number = claimed(claim["value"], claim["std"], claim.get("decimals", 0))
    return f"{number} {footnotes.mark(one_line('; '.join(filter(None, said))))}"
