"""`bench list`: what there is, without importing any of it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from bench.cli.options import plugin_option, runs_option
from bench.naming import unknown
from bench.plugins import Registered, Registry

KINDS = {
    "methods": "method",
    "backbones": "backbone",
    "datasets": "dataset",
    "protocols": "protocol",
    "formats": "format",
}
LISTS = [*KINDS, "runs"]


@click.command("list")
@click.argument("what", metavar="|".join(LISTS))
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@runs_option
@plugin_option
def command(what: str, form: str, runs: Path, plugins: tuple[str, ...]) -> None:
    """List methods, backbones, datasets, protocols, formats or runs.

    Plugins that could not be loaded are named on standard error with their reason.
    """
    if what not in LISTS:
        raise unknown("list", what, LISTS)
    rows = run_rows(runs) if what == "runs" else offer_rows(Registry(plugins), KINDS[what])
    click.echo(json.dumps(rows, indent=2) if form == "json" else _table(rows, f"no {what}"))


def offer_rows(registry: Registry, kind: str) -> list[dict[str, Any]]:
    """One object an offer of a kind: name, summary, what it has or needs, and the plugin it came from."""
    for broken in registry.broken:
        click.echo(f"warning: plugin {broken.plugin!r} is unavailable: {broken.reason}", err=True)
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


def run_rows(runs: Path) -> list[dict[str, Any]]:
    """One object an evaluation of every run below a folder; runs without a record yet are "incomplete"."""
    from bench import records
    from bench import rows as table
    from bench.console import Console

    names = ("run", "status", "protocol", "eval_backbone", "top1_mean", "top1_std", "reason")
    rows = [{name: row[name] for name in names} for row in table.rows(records.load_all(runs, Console()))]
    begun = [path.parent for path in runs.glob("*/spec.json") if not path.with_name("record.json").exists()]
    rows += [{**dict.fromkeys(names), "run": folder.name, "status": "incomplete"} for folder in begun]
    return sorted(rows, key=lambda row: str(row["run"]))


def _table(rows: Sequence[dict[str, Any]], nothing: str) -> str:
    """Columns that are empty in every row are left out."""
    kept = [name for name in (rows[0] if rows else {}) if any(row[name] not in (None, [], "") for row in rows)]
    cells = [[_cell(row[name]) for name in kept] for row in rows]
    headers = [name.replace("_", " ") for name in kept]
    return tabulate(cells, headers, floatfmt=".1f", disable_numparse=[0]) if rows else nothing


def _cell(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return ", ".join(value) if isinstance(value, list) else "" if value is None else value
