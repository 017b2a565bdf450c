"""Runs as rows, those with a record and those without one yet, and picking some of them with --where FIELD=VALUE."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import click

from bench.errors import CorruptArtefact, UnreadableArtefact, UsageError
from bench.storage.names import nearest, unknown

if TYPE_CHECKING:
    from bench.results.rows import Row

INCOMPLETE = "incomplete"
FEW = 8  # values that are all named
ALL = "`bench list runs` shows them all"


where_option = click.option(
    "--where", multiple=True, metavar="FIELD=VALUE", help="Only runs with this in a row's field (repeatable)."
)


def run_rows(runs: Path, where: Sequence[str] = ()) -> "list[Row]":
    """One row an evaluation of every run below a folder that fits all conditions, by the runs' names.

    Runs without a record yet are "incomplete"; where even their spec is damaged, all else of them is null. Where none
    of some rows fits, a warning says why.

    Raises:
        UsageError: a condition that is none, or on a field that rows do not have; the nearest is named.
    """
    from bench.cli.console import Console
    from bench.results import records
    from bench.results import rows as table
    from bench.storage.shared.mirrors import looked_at

    asked = Conditions.of(where)
    rows = [*table.rows(records.load_all(looked_at(runs), Console())), *map(_begun, records.unfinished(runs))]
    picked = asked.picked(rows)
    if rows and not picked:
        Console().warn(asked.unfit(rows))
    return sorted(picked, key=lambda row: str(row["run"]))


@dataclass(frozen=True)
class Condition:
    """One --where: as it was typed, what it looks at in a row, and what that shall be."""

    field: str
    wanted: str
    value: "Callable[[Row], Any]"

    def fits(self, row: "Row") -> bool:
        """Whether a row has this; of a list, one of it."""
        return any(_is(each, self.wanted) for each in self._values(row))

    def _values(self, row: "Row") -> list[Any]:
        found = self.value(row)
        return found if isinstance(found, list) else [found]

    def instead(self, rows: "Sequence[Row]") -> str:
        """The nearest value there is, or all where they are few."""
        plain = (each for row in rows for each in self._values(row) if not isinstance(each, NoneType | Mapping | list))
        known = list(dict.fromkeys(each if isinstance(each, str) else json.dumps(each, default=str) for each in plain))
        if match := _nearest(self.wanted, known):
            return f"did you mean {self.field}={match}?"
        return f"there is {', '.join(sorted(known)) or 'none'}" if len(known) <= FEW else ALL


@dataclass(frozen=True)
class Conditions:
    """All --where of a command, as they were typed."""

    every: Sequence[Condition]

    @classmethod
    def of(cls, where: Sequence[str]) -> "Conditions":
        """Raises UsageError: as `run_rows`."""
        from bench.results.fields import names

        return cls([_condition(each, names()) for each in where])

    def picked(self, rows: "Sequence[Row]") -> "list[Row]":
        """The rows that fit all conditions."""
        return [row for row in rows if all(each.fits(row) for each in self.every)]

    def unfit(self, rows: "Sequence[Row]") -> str:
        """Why none of some rows fits, in a line: the condition that no row fits, or all of them together."""
        alone = next((each for each in self.every if not any(map(each.fits, rows))), None)
        if alone is not None:
            return f"no row has {alone.field}={alone.wanted}; {alone.instead(rows)}"
        if not self.every:
            return "nothing to report: no evaluation of these runs is on record"
        return f"no row has {' and '.join(f'{each.field}={each.wanted}' for each in self.every)}; {ALL}"


def _nearest(wanted: str, known: Sequence[str]) -> str | None:
    """Of numbers the nearest number, of texts the one that is most like it."""
    number = _number(wanted)
    if number is None:
        return nearest(wanted, known)
    numbers = {each: found for each in known if (found := _number(each)) is not None}
    return min(numbers, key=lambda each: abs(numbers[each] - number), default=None)


def _begun(folder: Path) -> "Row":
    """The row of a run that has no record."""
    from bench.results.fields import names
    from bench.results.records import read_spec
    from bench.results.rows import bare_row

    try:
        row = bare_row(read_spec(folder), INCOMPLETE)
    except (FileNotFoundError, CorruptArtefact, UnreadableArtefact):
        row = {**dict.fromkeys(names()), "status": INCOMPLETE}
    return {**row, "run": folder.name}


def _condition(text: str, known: Sequence[str]) -> Condition:
    """As typed: `ipc=10`, `class_ids=n01443537` (one of a list), `changed.recover.iterations=40`, `made.commit=v1`."""
    field, equals, wanted = text.partition("=")
    if not equals:
        raise UsageError(f"--where takes FIELD=VALUE, not {text!r}")
    name, _, inside = field.partition(".")
    if name not in known:
        raise unknown("--where field", name, known)
    if name == "changed":  # the recipe's value and the user's, who asks for his own
        return Condition(field, wanted, lambda row: ((row["changed"] or {}).get(inside) or [None])[-1])
    if name == "protocol":  # by any of its names
        return Condition(field, wanted, lambda row: row["asked"] or row["protocol"])
    return Condition(field, wanted, lambda row: _inside(row.get(name), inside))


def _inside(value: Any, key: str) -> Any:  # noqa: ANN401 - any JSON value
    """What an object holds under a key, which may have dots: as a whole, or one object within another."""
    if not key or not isinstance(value, Mapping):
        return None if key else value
    if key in value:
        return value[key]
    first, _, rest = key.partition(".")
    return _inside(value.get(first), rest)


def _is(value: Any, wanted: str) -> bool:  # noqa: ANN401 - any JSON value
    return wanted in (str(value), json.dumps(value, default=str)) or _number(value) == _number(wanted) is not None


def _number(value: Any) -> float | None:  # noqa: ANN401 - any JSON value
    """As 0.1 and 1e-1 are one."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
