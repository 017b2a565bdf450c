"""From the cells of a published table to what is asked for them, and from their rows back to the cells."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bench.extensions.registry import Registry
from bench.results.differences import differing
from bench.results.fields import Row as Fields
from bench.results.metrics import metric
from bench.results.published import Cell, reasons, verdict
from bench.running.configuring import share_changes
from bench.running.request import Request

Row = dict[str, Any]


def requests(cells: Sequence[Cell], registry: Registry, asked: Request) -> Iterator[tuple[Cell, Request]]:
    """What each cell asks for: what the user asked for, in the cell's place.

    A change of the user's is for every cell whose method has the key.

    Raises:
        UsageError: a change that is for none of them.
    """
    changes = share_changes(registry, tuple({cell.wanted.method: None for cell in cells}), asked.changes)
    for cell in cells:
        wanted = cell.wanted
        place: dict[str, Any] = {
            "methods": (wanted.method,),
            "datasets": (wanted.dataset,),
            "ipcs": (int(wanted.ipc),),
            "backbones": (wanted.backbone,),
            "eval_backbones": (wanted.eval_backbone,),
            "protocols": (cell.protocol,),
            "changes": (*cell.run.set, *changes[wanted.method]),
        }
        yield cell, replace(asked, **place)


def beside(cell: Cell, row: Row, registry: Registry) -> Row:
    """The row with the cell that it answers, under `cell`: the published number, and how the two stand."""
    if row["status"] != "done":
        return _with(cell, row)
    images = row.get("source_differs")
    apart = list(reasons(cell, row, [each for each in differing(registry, row) if each != images]))
    mean = metric(row, cell.claim.score).mean
    stands = {
        "difference": None if mean is None else mean - cell.claim.value,
        "verdict": verdict(cell.claim, row, apart),
        "reasons": apart,
        "images": images,
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
        name: getattr(cell.claim, name) for name in ("value", "std", "metric", "score", "label_type", "source", "note")
    }
    how: dict[str, Any] = {"difference": None, "verdict": None, "reasons": [], "images": None, "stale": []}
    return {**row, "cell": {"number": cell.number, **published, "set": list(cell.run.set), **how, **stands}}


def stale(registry: Registry, row: Row) -> list[str]:
    """What of a finished row is older than what is installed, in words: its method or its protocol."""
    name, _, version = str(row["protocol_id"]).partition("@")
    made_by = {"method": (row["method"], row["method_version"]), "protocol": (name, int(version or 0))}
    found = []
    for kind, (of, had) in made_by.items():
        now = registry.load(kind, of).version if registry.has(kind, of) else had
        if had is not None and had != now:
            found.append(f"{kind} {of} was at version {had}, and is at {now}")
    return found
