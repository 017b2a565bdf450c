"""What a user changed from a method's recipe, in words: a table must say it, and tell rows apart by it.

A row's `changed` holds, by dotted key, what the recipe says at the row's budget and what was taken instead.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Changed = dict[str, list[Any]]  # [the recipe's, the user's]; null for the recipe's where it is not known
AS_THE_RECIPE = "nothing"


def told(changed: Mapping[str, Sequence[Any]]) -> str:
    """As "recover.iterations 4000 -> 40; recover.lr 0.1 -> 0.2"."""
    return "; ".join(f"{key} {_arrow(was)}{_text(now)}" for key, (was, now) in changed.items())


def notes(rows: Iterable[Row]) -> tuple[str, ...]:
    """A line for each method and what was changed of it; a control's labels are those of the method beside it."""
    found = {(_whose(row), told(row["changed"])) for row in rows if row.get("changed")}
    return tuple(f"changed, {method}: {what}" for method, what in sorted(found))


def tell_rows_apart(rows: Sequence[Row]) -> bool:
    """Whether rows of one method differ in what was changed."""
    return any(_differing(rows, row) for row in rows)


def apart(rows: Sequence[Row], row: Row) -> str | None:
    """What was changed in a row and not in all others of its method; "nothing" where only others were changed."""
    keys = _differing(rows, row)
    own = {key: row["changed"][key][1] for key in keys if key in (row.get("changed") or {})}
    if not keys:
        return None
    return ", ".join(f"{key} {_text(value)}" for key, value in own.items()) or AS_THE_RECIPE


def _differing(rows: Sequence[Row], row: Row) -> list[str]:
    """The keys in which rows of the same method differ."""
    same = [each.get("changed") or {} for each in rows if _whose(each) == _whose(row)]
    keys = dict.fromkeys(key for changed in same for key in changed)
    return [key for key in keys if any(changed.get(key) != same[0].get(key) for changed in same)]


def _whose(row: Row) -> str:
    return str(row.get("labels_of") or row["method"])


def _arrow(was: Any) -> str:  # noqa: ANN401 - any JSON value
    return "" if was is None else f"{_text(was)} -> "


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return f"{value:g}" if isinstance(value, float) else repr(value) if value == "" else str(value)
