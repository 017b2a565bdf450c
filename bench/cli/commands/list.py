"""`bench list`: what there is, without importing any of it."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import click
from tabulate import tabulate

from bench.cli.filters import run_rows, where_option
from bench.cli.options import plugin_option, runs_option, table_or_json_option
from bench.errors import UsageError
from bench.extensions.registry import Registered, Registry
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
WIDTH = 100  # characters, of words below a table


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

    What is had by a rule in its name, as a ConvNet of any width, stands in words below the table; JSON leaves it out.
    Plugins that could not be loaded are named on standard error with their reason.
    """
    if what not in LISTS:
        raise unknown("list", what, LISTS)
    if where and what != "runs":
        raise UsageError("--where picks runs: bench list runs --where FIELD=VALUE")
    if what == "runs":
        _runs(run_rows(runs, where), form)
        return
    registry = Registry(plugins)
    rows = offer_rows(registry, KINDS[what])
    click.echo(json.dumps(rows, indent=2) if form == "json" else _table(rows, f"no {what}"))
    for rule in registry.rules(KINDS[what]) if form != "json" else ():
        click.echo(f"\nmore by name, {one_line(rule.names)}:\n{fill(one_line(rule.summary), WIDTH)}")


def _runs(rows: Sequence[dict[str, Any]], form: str) -> None:
    from bench.cli.run_list import listed, table

    if form == "json":
        click.echo(json.dumps([*map(listed, rows)], indent=2))
    else:
        width = shutil.get_terminal_size((0, 0)).columns  # 0 where the output is no terminal
        click.echo(table(rows, width or None) if rows else "no runs")


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


def _table(rows: Sequence[dict[str, Any]], nothing: str) -> str:
    """Columns that are empty in every row are left out."""
    kept = [name for name in (rows[0] if rows else {}) if any(row[name] not in (None, [], {}, "") for row in rows)]
    cells = [[_cell(row[name]) for name in kept] for row in rows]
    return tabulate(cells, kept, disable_numparse=True) if rows else nothing


def _cell(value: str | list[str] | None) -> str:
    return one_line(", ".join(value) if isinstance(value, list) else value or "")
