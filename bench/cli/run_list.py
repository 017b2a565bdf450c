"""The list of runs: a line an evaluation, with what a user looks for among a hundred."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tabulate import tabulate

from bench.evaluation import TOP1
from bench.reporting import Row
from bench.reporting.columns import Cell, method_of, text
from bench.reporting.layout import alignment
from bench.reporting.units import moment, spread
from bench.reporting.view import frame
from bench.results.changes import told
from bench.results.metrics import primary

FIRST = ("run", "status", "set", "ipc", "seed", "protocol", "eval_backbone", "top1_mean", "top1_std")
BESIDE = ("method", "is_control", "dataset", "classes", "backbone", "label_kind", "budget", "eval_seeds")


def listed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Of a row what `--format json` shows; names of fields are those of rows (docs/rows.md)."""
    made, changed = row.get("made") or {}, row.get("changed") or {}
    shown = {name: row.get(name) for name in FIRST}
    last = {"date": made.get("date"), "changed": changed, "reason": row.get("reason")}
    return {**shown, **_primary(row), **last, **{name: row.get(name) for name in BESIDE}}


def _primary(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the protocol names its primary metric, where that is not top-1."""
    found = primary(row)
    name, mean, std = (None, None, None) if found.name == TOP1 else (found.name, found.mean, found.std)
    return {"primary": name, "primary_mean": mean, "primary_std": std}


def table(rows: Sequence[Row]) -> str:
    """The rows as text; columns that are empty in every row are left out."""
    columns = frame(rows, _columns(rows))
    lines = zip(*columns.values(), strict=True)
    return tabulate(lines, list(columns), disable_numparse=True, colalign=alignment(columns))


def _columns(rows: Sequence[Row]) -> dict[str, Cell]:
    named = ("dataset", "ipc", "backbone", "seed", "budget")
    return {
        "run": partial(text, name="run"),
        "status": partial(text, name="status"),
        "method": lambda row: row["method"] and method_of(row),
        "set": partial(text, name="set"),
        **{name: partial(text, name=name) for name in named},
        "protocol": lambda row: row.get("protocol_id") or row.get("protocol"),
        "trained\non it": partial(text, name="eval_backbone"),
        **_result(rows),
        "made (UTC)": _made,
        "changed": lambda row: told(row.get("changed") or {}) or None,
        "reason": partial(text, name="reason"),
    }


def _result(rows: Sequence[Row]) -> dict[str, Cell]:
    """The primary metric over the trainings; where protocols name several, each beside its value."""
    titles = {primary(row).title for row in rows if primary(row).mean is not None}
    if len(titles) > 1:
        return {"result\n(trainings)": lambda row: (found := _spread(row)) and f"{primary(row).title} {found}"}
    return {f"{title}\n(trainings)": _spread for title in titles}


def _spread(row: Row) -> str | None:
    found = primary(row)
    return spread(found.mean, found.std, row.get("eval_seeds"), found.unit)


def _made(row: Row) -> str | None:
    return moment((row.get("made") or {}).get("date"))
