"""What a user changed from a method's recipe, in words: tables show it, and tell rows apart by it.

A row's `changed` holds, by dotted key, what the recipe says at the row's budget and what was taken instead.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.results.rows import Row

Changed = dict[str, list[Any]]  # [the recipe's, the user's]; null for the recipe's where it is not known
AS_THE_RECIPE = "nothing"


def told(changed: Mapping[str, Sequence[Any]]) -> str:
    """As "recover.iterations 4000 -> 40; recover.lr 0.1 -> 0.2"."""
    return "; ".join(f"{key} {_arrow(was)}{_text(now)}" for key, (was, now) in changed.items())


def notes(rows: Iterable[Row]) -> tuple[str, ...]:
    """A line for each method and what was changed of it; a control's labels are those of the method beside it."""
    found = {(_whose(row), told(row["changed"])) for row in rows if row.get("changed")}
    return tuple(f"changed, {method}: {what}" for method, what in sorted(found))


class DistinctChanges:
    """What was changed in one of these rows and not in all others of its method: what tells them apart."""

    def __init__(self, rows: Sequence[Row]) -> None:
        by_method: dict[str, list[Changed]] = {}
        for row in rows:
            by_method.setdefault(_whose(row), []).append(row.get("changed") or {})
        self._keys = {method: _differing(changes) for method, changes in by_method.items()}

    def __bool__(self) -> bool:
        return any(self._keys.values())

    def told(self, row: Row) -> str | None:
        """Of one of the rows; "nothing" where only others were changed.

        All of it where the rows of its method do not differ, and None where that is nothing.
        """
        changed = row.get("changed") or {}
        keys = self._keys[_whose(row)] or list(changed)
        own = {key: changed[key][1] for key in keys if key in changed}
        if not keys:
            return None
        return ", ".join(f"{key} {_text(value)}" for key, value in own.items()) or AS_THE_RECIPE


def _differing(changes: Sequence[Changed]) -> list[str]:
    """The keys in which rows of one method differ."""
    keys = dict.fromkeys(key for changed in changes for key in changed)
    return [key for key in keys if any(changed.get(key) != changes[0].get(key) for changed in changes)]


def _whose(row: Row) -> str:
    return str(row.get("labels_of") or row["method"])


def _arrow(was: Any) -> str:  # noqa: ANN401 - any JSON value
    return "" if was is None else f"{_text(was)} -> "


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return f"{value:g}" if isinstance(value, float) else repr(value) if value == "" else str(value)
