"""How many images rows are of, in words."""

from collections.abc import Iterable, Mapping
from typing import Any

from bench.results.fields import FULL


def amount(rows: Iterable[Mapping[str, Any]]) -> str:
    """Of rows of one number of images per class: "ipc 10", or "all images" where none condenses them."""
    rows = list(rows)
    return "all images" if all(row["method"] == FULL for row in rows) else f"ipc {rows[0]['ipc']}"
