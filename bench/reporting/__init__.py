"""Forms of a comparison table and of a table of speeds, and which rows may stand in one ranking.

A row is the object that `--format json` prints (see docs/rows.md). Rows go in; text comes out.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.reporting.claimed import claims_reader
from bench.reporting.headings import OWN as OWN
from bench.reporting.headings import REFERENCE as REFERENCE
from bench.reporting.headings import common as common
from bench.reporting.headings import heading
from bench.reporting.headings import machine as machine
from bench.reporting.statistics.pooling import runs_of
from bench.results import changes
from bench.results.metrics import Summary as Summary
from bench.results.metrics import deviation as deviation
from bench.results.metrics import mean as mean
from bench.results.metrics import metric as metric
from bench.results.metrics import primary as primary
from bench.results.metrics import primary_name
from bench.results.rows import Row as Row

if TYPE_CHECKING:
    from bench.extensions.registry import Registry
    from bench.reporting.compared import Comparison
    from bench.reporting.run_folders import RunFolder
DRAW = "make this report"  # what a plugin at fault cannot do


class ReportFormat(ABC):
    """A form of a comparison table.

    You must write `render`. You must set `name` (what users type) and `suffix` (of files that hold it, as ".csv").
    You may write `render_speed`; without it `bench speed` refuses the format.
    """

    name: str
    suffix: str

    @abstractmethod
    def render(self, rows: Sequence[Row], *, claims: bool) -> str:
        """The report as text ending in a newline. With `claims`, published numbers stand beside the measured ones.

        Rows of all states come in: "done", and "failed", "skipped" or "refused" with a reason and null numbers.
        Never rank together what `rankings` keeps apart.
        """

    def render_speed(self, rows: Sequence[Row], *, title: str) -> str:
        """A table of speeds (see docs/measuring.md, "Speed of a step") as text ending in a newline.

        All rows were measured on one device, each in its own precision. They come in the order asked for, and stay in
        it: "done", and "failed" or "skipped" with a reason and null numbers; those may still have published ones.

        Raises:
            UsageError: the format has no form for it.
        """
        raise self._without("a table of speeds", "table", "markdown", "latex", "html", "csv", "json", "svg")

    def render_ladder(self, rows: Sequence[Row], *, title: str, source: str) -> str:
        """A table of configurations, each one change from the last, as text ending in a newline.

        Every row has `rung` besides: its `name`, the `change` that it makes, and the `published` top-1 or None, which
        is from `source`. Rows of one rung stand together, one a seed of the synthesis.

        Raises:
            UsageError: the format has no form for it.
        """
        raise self._without("a ladder", "table", "markdown", "latex", "html", "json")

    def render_reproduction(self, rows: Sequence[Row], *, title: str) -> str:
        """The cells of a published table and what was measured for them, as text ending in a newline.

        Every row has `cell` besides: the cell's `number` in the table; the published `value`, `std` (or None),
        `metric`, `score` (the row's metric that it is held against), `label_type`, `source` and `note`; the changes
        from the recipe (`set`) that make the cell; and of a finished row the `difference` of its mean from `value` in
        points, the `verdict` ("within", "above", "below" or "not the same") with its `reasons`, in what the `images`
        are not the official ones though they are judged by it, or None, and what of it is older than what is installed
        (`stale`), all in words. A row that is "skipped" may have no run: its cell cannot be reached here, for the
        `reason`. Rows of one cell stand together, one a seed of the synthesis.

        Raises:
            UsageError: the format has no form for it.
        """
        raise self._without("a published table", "table", "markdown", "latex", "html", "json")

    def render_pivot(self, rows: Sequence[Row], *, across: str) -> str:
        """Methods down, and "eval_backbone", "ipc" or "dataset" across (`bench.reporting.pivot`); ends in a newline.

        Raises:
            UsageError: the format has no form for it.
        """
        raise self._without("a pivot", "table", "markdown", "latex", "html", "svg")

    def render_scores(self, rows: Sequence[Row], *, claims: bool) -> str:
        """What rows of one cell say of each other (`bench.reporting.statistics.scores`); ends in a newline.

        Raises:
            UsageError: the format has no form for it.
        """
        raise self._without("scores", "table", "markdown", "latex", "html", "json", "csv")

    def render_comparison(self, found: "Comparison", runs: Sequence["RunFolder"]) -> str:
        """Two runs beside each other, with what their folders hold: images, curves; ends in a newline.

        Raises:
            UsageError: the format has no form for it.
        """
        raise self._without("a comparison of two runs", "html")

    def _without(self, what: str, *forms: str) -> UsageError:
        """That this one has no form for it, and which of the built-in formats have."""
        *some, last = forms
        listed = f"{', '.join(some)} or {last}" if some else last
        return UsageError(f"the format {self.name!r} has no form for {what}; take {listed}")


@dataclass(frozen=True)
class Ranking:
    """Rows that may be compared, the best by their primary metric first.

    Attributes:
        heading: one line with all that the rows have in common.
        rows: done rows, controls among them.
        notes: as `notes` has them.
    """

    heading: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def report(registry: "Registry", rows: Sequence[Row], form: str, *, claims: bool) -> str:
    """The rows in a registered format, each with the published number for its cell, where there is one.

    Raises:
        UsageError: an unknown or unavailable format, or claims that cannot be read.
    """
    return reporter(registry, form, claims=claims)(rows)


def reporter(registry: "Registry", form: str, *, claims: bool) -> Callable[[Sequence[Row]], str]:
    """What `report` does with rows, where they are yet to be made: what it needs is read now. Raises as `report`."""
    format_ = format_of(registry, form)
    beside = claims_reader(registry, claims=claims)
    if registry.find("format", form).foreign:  # what is no form of nothing is none of a night's work
        drawn(registry, form, lambda: format_.render([], claims=claims))
    return lambda rows: drawn(registry, form, lambda: format_.render(beside(rows), claims=claims))


def format_of(registry: "Registry", form: str) -> ReportFormat:
    """A registered format.

    Raises:
        UsageError: an unknown or unavailable one, or what is no format.
    """
    from bench.extensions.answers import misfit

    format_ = registry.load("format", form)
    if not isinstance(format_, ReportFormat):
        what = f"the class {format_.__name__}; offer an instance" if isinstance(format_, type) else repr(format_)
        raise misfit(registry, "format", form, f"it is {what}", DRAW)
    return format_


def drawn(registry: "Registry", form: str, draw: Callable[[], str]) -> str:
    """The text that a format makes. Raises UsageError: its plugin failed, or made no text."""
    from bench.extensions.answers import answers_of, misfit

    with answers_of(registry, "format", form, DRAW):
        text: object = draw()
    if not isinstance(text, str):
        raise misfit(registry, "format", form, f"it returned a {type(text).__name__}, no text", DRAW)
    return text


def rankings(rows: Iterable[Row]) -> list[Ranking]:
    """The done rows, split so that a ranking compares methods and nothing else.

    Rows stand together when they share dataset, card, classes, images per class, protocol and version, evaluation
    backbone and epochs, kind of labels (hard, a teacher's, or soft ones made with the images) and the teacher's
    backbone, budget, device and precision. Rows of the plain reference engine, whose costs are its own, stand apart
    from those of faster ones; what has no engine, such as a control, stands with both. The order is that
    of the headings, and within a ranking that of the primary metric, which the rows share: top-1, unless the protocol
    names another.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["status"] == "done":
            groups.setdefault(terms(row), []).append(row)
    parts = [part for group in groups.values() for part in _by_engine(group)]
    plain = Counter(map(heading, parts))
    made = []
    for group in parts:
        told = heading(group)
        if plain[told] > 1:
            told = f"{told} · {_fine_print(group[0])}"
        made.append(Ranking(told, tuple(sorted(group, key=_place)), notes(group)))
    return sorted(made, key=lambda ranking: _natural(ranking.rows[0]))


def unmeasured(rows: Iterable[Row]) -> list[Row]:
    """The rows that hold no result: failed, skipped or refused."""
    return [row for row in rows if row["status"] != "done"]


def terms(row: Row, free: Container[str] = ()) -> tuple[Any, ...]:
    """What rows of one ranking have in common; of rows that may differ in some fields besides, without those."""
    shared = ("dataset", "card_hash", "classes", "class_order_hash", "ipc", "protocol_id", "eval_backbone", "epochs")
    measured = ("budget", "device", "device_name", "precision")
    return (
        *(row.get(name) for name in (*shared, *measured) if name not in free),
        *_label_source(row),
        primary_name(row),
    )


def _by_engine(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of the reference engine and those of others, where there are both; each with what has no engine."""
    engines = {row.get("engine") for row in rows} - {None}
    if REFERENCE not in engines or engines == {REFERENCE}:
        return [list(rows)]
    return [
        [row for row in rows if row.get("engine") is None or (row["engine"] == REFERENCE) is of] for of in (False, True)
    ]


def _label_source(row: Row) -> tuple[str | None, str | None]:
    """Soft labels decide more than images do; online and stored ones are the same labels. `OWN` stand apart."""
    if row.get("label_kind") in (None, "hard"):
        return row.get("label_kind"), None
    if row["label_kind"] in OWN:
        return OWN[row["label_kind"]][0], None
    return "soft", row.get("teacher_backbone")


def _fine_print(row: Row) -> str:
    """What tells two rankings apart whose headings say the same."""
    kind, teacher = _label_source(row)
    labels = f"{kind} labels" + (f" of {teacher}" if teacher else "")
    hashes = [
        f"{what} {str(row.get(key))[:6]}" for what, key in (("classes", "class_order_hash"), ("card", "card_hash"))
    ]
    return ", ".join([labels, *hashes])


def notes(rows: Sequence[Row]) -> tuple[str, ...]:
    """What the quick budget took and what users changed, by method."""
    quick: dict[str, None] = {}
    for row in rows:
        for who, key in (("evaluation", "evaluation_note"), (row["method"], "budget_note")):
            if row["budget"] == "quick" and row.get(key):
                quick[f"quick budget, {who}: {row[key]}"] = None
    first = sorted(quick, key=lambda note: not note.startswith("quick budget, evaluation"))
    return (*first, *changes.notes(rows))


def _place(row: Row) -> tuple[float, str, list[str]]:
    return primary(row).badness, row["method"], runs_of(row)


def _natural(row: Row) -> tuple[Any, ...]:
    """Rankings in the order a reader looks for them: by dataset, then growing ipc, then the rest of the heading."""
    return (row["dataset"], row["classes"], row["ipc"], *map(str, terms(row)))
