"""Measured rows beside the cells of a published table that they answer, and what they say to their numbers."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench.extensions.registry import Registry
from bench.reporting.statistics.pooling import sets_as_one
from bench.results.differences import differing
from bench.results.fields import Row as Fields
from bench.results.metrics import metric
from bench.results.protocol_names import name_of, version_of
from bench.results.published import Cell, reasons, verdict
from bench.results.rows import Row


def standing(cells: Iterable[Cell], found: Sequence[Row], every: Iterable[Cell]) -> Iterator[tuple[Cell, Row]]:
    """Each cell with the rows that answer it, or else with those that come close to it and answer none of every cell.

    A run of other iterations, say, stands at the cell that is of so many, not at that of more.
    """
    every = tuple(every)
    strays = [row for row in found if not any(cell.answered_by(row) for cell in every)]
    for cell in cells:
        answering = [row for row in found if cell.answered_by(row)]
        yield from ((cell, row) for row in answering or filter(cell.approached_by, strays))


def judged(pairs: Iterable[tuple[Cell, Row]], registry: Registry) -> list[Row]:
    """Each cell's rows beside its number; sets of several seeds as one: published deviations are over them, too."""
    by_cell: dict[Cell, list[Row]] = {}
    for cell, row in pairs:
        by_cell.setdefault(cell, []).append(row)
    return [beside(cell, row, registry) for cell, rows in by_cell.items() for row in sets_as_one(rows)]


def beside(cell: Cell, row: Row, registry: Registry) -> Row:
    """The row with the cell that it answers, under `cell`: the published number, and how the two stand."""
    if row["status"] != "done":
        return _with(cell, row)
    images = row.get("source_differs")
    differs = differing(registry, row, cell.claim.label_type)
    apart = list(reasons(cell, row, [each for each in differs if each != images]))
    mean = metric(row, cell.claim.score).mean
    stands = {
        "difference": None if mean is None else mean - cell.claim.value,
        "verdict": verdict(cell.claim, row, apart),
        "reasons": apart,
        "notes": [*cell.notes, *filter(None, [images])],
        "stale": stale(registry, row),
    }
    return _with(cell, row, **stands)


def unreachable(cell: Cell, reason: str) -> Row:
    """The row of a cell that was not run, as `beside` has it."""
    wanted = cell.wanted
    place: dict[str, Any] = {
        "method": wanted.method,
        "dataset": wanted.dataset,
        "classes": wanted.classes,
        "ipc": int(wanted.ipc) if wanted.ipc.isascii() and wanted.ipc.isdigit() else None,
        "backbone": wanted.backbone,
        "eval_backbone": wanted.eval_backbone,
        "protocol": cell.protocol or None,
    }
    return _with(cell, Fields(**place, status="skipped", reason=reason).to_json())


def _with(cell: Cell, row: Row, **stands: Any) -> Row:  # noqa: ANN401 - any JSON value
    published = {
        name: getattr(cell.claim, name)
        for name in ("value", "std", "decimals", "metric", "score", "label_type", "source", "note")
    }
    how: dict[str, Any] = {"difference": None, "verdict": None, "reasons": [], "notes": [], "stale": []}
    return {**row, "cell": {"number": cell.number, **published, "set": list(cell.run.set), **how, **stands}}


def stale(registry: Registry, row: Row) -> list[str]:
    """What of a finished row is older than what is installed, in words: its method or its protocol."""
    made_by = {"method": (row["method"], row["method_version"]), "protocol": (name_of(row), version_of(row))}
    found = []
    for kind, (of, had) in made_by.items():
        now = registry.load(kind, of).version if registry.has(kind, of) else had
        if had is not None and had != now:
            found.append(f"{kind} {of} was at version {had}, and is at {now}")
    return found
