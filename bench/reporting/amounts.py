"""How many images rows are of, in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.results.fields import FULL

Rows = Sequence[Mapping[str, Any]]


def amount(rows: Rows) -> str:
    """Of rows of one number of images per class: "ipc 10", or "all images" where none condenses them."""
    return f"ipc {rows[0]['ipc']}" if any(_condenses(rows)) else "all images"


def condensed_with(rows: Rows, backbone: str | None) -> str:
    """As "condensed with resnet18", where that is one network and a row condenses."""
    return f"condensed with {backbone}" if backbone and any(_condenses(rows)) else ""


def _condenses(rows: Rows) -> Iterable[bool]:
    return (row["method"] != FULL or bool(row.get("imported")) for row in rows)
