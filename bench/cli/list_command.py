"""`bench list`: what there is, without importing any of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from bench.cli.filters import run_rows, where_option
from bench.cli.options import plugin_option, runs_option, table_or_json_option
from bench.errors import UsageError
from bench.evaluation import TOP1
from bench.extensions.registry import Registered, Registry
from bench.results.changes import told
from bench.results.metrics import primary
from bench.storage.names import unknown
from bench.storage.streams import one_line

KINDS = {
    "methods": "method",
    "backbones": "backbone",
    "datasets": "dataset",
    "protocols": "protocol",
    "formats": "format",
    "ladders": "ladder",
    "tables": "table",
    "speed-tables": "speed table",
    "executors": "executor",
}
LISTS = [*KINDS, "runs"]


@click.command("list")
@click.argument("what", metavar="|".join(LISTS))
@table_or_json_option
@where_option
@runs_option
@plugin_option
def command(what: str, form: str, where: tuple[str, ...], runs: Path, plugins: tuple[str, ...]) -> None:
    """List methods, backbones, datasets, protocols, formats, ladders, tables, speed tables, executors or runs.

    `bench list runs --where method=sre2l --where ipc=10` lists the runs with this in their rows; a dot looks inside a
    field: changed.recover.iterations=40.

    Plugins that could not be loaded are named on standard error with their reason.
    """
    if what not in LISTS:
        raise unknown("list", what, LISTS)
    if where and what != "runs":
        raise UsageError("--where picks runs: bench list runs --where FIELD=VALUE")
    rows = [*map(listed, run_rows(runs, where))] if what == "runs" else offer_rows(Registry(plugins), KINDS[what])
    click.echo(json.dumps(rows, indent=2) if form == "json" else _table(rows, f"no {what}"))


def offer_rows(registry: Registry, kind: str) -> list[dict[str, Any]]:
    """One object an offer of a kind: name, summary, what it has or needs, and the plugin it came from."""
    for broken in registry.broken:
        click.echo(f"warning: plugin {broken.plugin!r} is unavailable: {one_line(broken.reason)}", err=True)
    return [_offer_row(registered) for registered in registry.registered(kind)]


def _offer_row(registered: Registered) -> dict[str, Any]:
    offer = registered.offer
    return {
        "name": offer.name,
        "summary": offer.summary,
        "has": sorted(offer.traits),
        "needs": sorted(offer.needs),
        "plugin": registered.plugin,
        "version": registered.version,
    }


def listed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Of a row what a list of runs shows."""
    first = ("run", "status", "set", "ipc", "seed", "protocol", "eval_backbone", "top1_mean", "top1_std")
    made, changed = row.get("made") or {}, row.get("changed") or {}
    shown = {name: row.get(name) for name in first}
    return {**shown, **_primary(row), "date": made.get("date"), "changed": changed, "reason": row.get("reason")}


def _primary(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the protocol names its primary metric, where that is not top-1."""
    found = primary(row)
    name, mean, std = (None, None, None) if found.name == TOP1 else (found.name, found.mean, found.std)
    return {"primary": name, "primary_mean": mean, "primary_std": std}


def _table(rows: Sequence[dict[str, Any]], nothing: str) -> str:
    """Columns that are empty in every row are left out."""
    kept = [name for name in (rows[0] if rows else {}) if any(row[name] not in (None, [], {}, "") for row in rows)]
    cells = [[_cell(row[name]) for name in kept] for row in rows]
    headers = [name.replace("_", " ") for name in kept]
    return tabulate(cells, headers, floatfmt=".1f", disable_numparse=[0]) if rows else nothing


def _cell(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return one_line(told(value))
    if isinstance(value, list | str):
        return one_line(", ".join(map(str, value)) if isinstance(value, list) else value)
    return "" if value is None else value
