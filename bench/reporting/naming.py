"""What rows of one table are called where no table stands: in legends of figures, and in what is said below a table."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from bench.reporting import Row
from bench.reporting.columns import Columns, lines
from bench.reporting.units import UNKNOWN
from bench.results.changes import AS_THE_RECIPE
from bench.storage.streams import one_line

HASH = 6  # digits
BEFORE = {"ipc": "ipc ", "eval_backbone": "on "}  # words before the values of fields
MADE_IN = "made\nin"  # the column of the images' arithmetic
SETS = ("method", "set")  # the columns of what is always said


def line_names(columns: Columns) -> list[str]:
    """Who each row of `bench.reporting.view.identity` is of, in a line: without what is not said of it."""
    return [one_line(" ".join(filter(None, map(_told, columns, cells)))) for cells in lines(columns)]


def table_name(what: str, row: Row, fields: Iterable[str], apart: object) -> str:
    """What a table of rows like this is referred to by, whichever others join it or stand beside it.

    As "tiny-imagenet-ipc-10-sre2l-tiny-1-on-convnet4-bn-3f9c2a".

    Args:
        what: before it, as "scores".
        fields: those that its rows share, and that it is to name.
        apart: all that they share and that tells the table from others.
    """
    words = [f"{BEFORE.get(name, '')}{row[name]}" for name in fields if row.get(name) is not None]
    digest = hashlib.sha256(json.dumps(apart, default=str).encode()).hexdigest()[:HASH]
    return re.sub(r"[^a-z0-9]+", "-", " ".join([what, *words, digest]).lower()).strip("-")


class Whom:
    """Names rows of a table as briefly as they can be told apart."""

    def __init__(self, rows: Sequence[Row], columns: Columns) -> None:
        """Args: the rows, and their `bench.reporting.view.identity`."""
        of_set = {title: cells for title, cells in columns.items() if title in SETS}
        shared = line_names(of_set)
        self._of = {id(row): name for row, name in zip(rows, shared, strict=True)}
        self._sizes = Counter(shared)
        self._alone = {id(row): name for row, name in zip(rows, _apart(columns, shared), strict=True)}

    def told(self, some: Sequence[Row]) -> str:
        """Some of the rows: their method where all rows of it are meant, else what tells them from its others."""
        counts = Counter(self._of[id(row)] for row in some)
        every = {name for name, count in counts.items() if count == self._sizes[name]}
        return ", ".join(dict.fromkeys(self._named(row, every) for row in some))

    def _named(self, row: Row, every: Iterable[str]) -> str:
        return self._of[id(row)] if self._of[id(row)] in every else self._alone[id(row)]


def _apart(columns: Columns, shared: Sequence[str]) -> list[str]:
    """Each row by its method and by the columns in which rows of that differ, as "dm seed 0"."""
    values: dict[tuple[str, str], set[str]] = {}
    for title, cells in columns.items():
        for name, cell in zip(shared, cells, strict=True):
            values.setdefault((name, title), set()).add(cell)
    said = {
        title: [
            cell if title in SETS or len(values[name, title]) > 1 else UNKNOWN
            for name, cell in zip(shared, cells, strict=True)
        ]
        for title, cells in columns.items()
    }
    return line_names(said)


def _told(title: str, text: str) -> str:
    """A cell where no title stands above it: a bare number would say nothing."""
    if text == UNKNOWN:
        return ""
    if title in ("seed", "run"):
        return f"{title} {text}"
    if title == MADE_IN:
        return f"made in {text}"
    return "unchanged" if title == "changed" and text == AS_THE_RECIPE else text
