"""Nested values as a list of facts: dotted names, and values short enough to be read; what users changed, in words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.results.changes import told as told

if TYPE_CHECKING:
    from bench.recipes import Values

FEW = 6


def flat(values: "Mapping[str, Any] | Values", prefix: str = "") -> list[tuple[str, object]]:
    """Nested values as dotted keys."""
    rows: list[tuple[str, object]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", short(value)))
    return rows


def short(value: object) -> object:
    """Long lists (a thousand class ids) by their ends."""
    if isinstance(value, list | tuple) and len(value) > FEW:
        return f"{', '.join(map(str, value[:3]))}, ... {value[-1]} ({len(value)})"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
