"""Runs as rows, those with a record and those without one yet, and picking some of them with --where FIELD=VALUE."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bench.errors import CorruptArtefact, UnreadableArtefact, UsageError
from bench.storage.names import unknown

Row = dict[str, Any]

INCOMPLETE = "incomplete"


where_option = click.option(
    "--where", multiple=True, metavar="FIELD=VALUE", help="Only runs with this in a row's field (repeatable)."
)


def run_rows(runs: Path, where: Sequence[str] = ()) -> list[Row]:
    """One row an evaluation of every run below a folder that fits all conditions, by the runs' names.

    Runs without a record yet are "incomplete"; where even their spec is damaged, all else of them is null.

    Raises:
        UsageError: a condition that is none, or on a field that rows do not have; the nearest is named.
    """
    from bench.cli.console import Console
    from bench.results import records
    from bench.results import rows as table
    from bench.storage.mirrors import looked_at

    picked = picker(where)
    rows = [*table.rows(records.load_all(looked_at(runs), Console())), *map(_begun, records.unfinished(runs))]
    return sorted(picked(rows), key=lambda row: str(row["run"]))


def picker(where: Sequence[str]) -> Callable[[Sequence[Row]], list[Row]]:
    """What leaves, of rows, those that fit all conditions.

    Raises:
        UsageError: as `run_rows`.
    """
    from bench.results.fields import names

    conditions = [_condition(each, names()) for each in where]
    return lambda rows: [row for row in rows if all(fits(row) for fits in conditions)]


def _begun(folder: Path) -> Row:
    """The row of a run that has no record."""
    from bench.results.fields import names
    from bench.results.records import read_spec
    from bench.results.rows import bare_row

    try:
        row = bare_row(read_spec(folder), INCOMPLETE)
    except (FileNotFoundError, CorruptArtefact, UnreadableArtefact):
        row = {**dict.fromkeys(names()), "status": INCOMPLETE}
    return {**row, "run": folder.name}


def _condition(text: str, known: Sequence[str]) -> Callable[[Row], bool]:
    """As typed: `ipc=10`, `class_ids=n01443537` (one of a list), `changed.recover.iterations=40`, `made.commit=v1`."""
    field, equals, wanted = text.partition("=")
    if not equals:
        raise UsageError(f"--where takes FIELD=VALUE, not {text!r}")
    name, _, inside = field.partition(".")
    if name not in known:
        raise unknown("--where field", name, known)
    if name == "changed":  # the recipe's value and the user's, who asks for his own
        return lambda row: _is(((row["changed"] or {}).get(inside) or [None])[-1], wanted)
    return lambda row: _is(_inside(row.get(name), inside), wanted)


def _inside(value: Any, key: str) -> Any:  # noqa: ANN401 - any JSON value
    """What an object holds under a key, which may have dots: as a whole, or one object within another."""
    if not key or not isinstance(value, Mapping):
        return None if key else value
    if key in value:
        return value[key]
    first, _, rest = key.partition(".")
    return _inside(value.get(first), rest)


def _is(value: Any, wanted: str) -> bool:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        return any(_is(each, wanted) for each in value)
    return wanted in (str(value), json.dumps(value, default=str)) or _number(value) == _number(wanted) is not None


def _number(value: Any) -> float | None:  # noqa: ANN401 - any JSON value
    """As 0.1 and 1e-1 are one."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
