"""The list of runs: a line an evaluation, with what a user looks for among a hundred.

A run's name says its method, dataset, IPC, network and seed, so no column repeats them. What all lines share stands
once above them, and long texts (what was changed, why a run failed) once below, under the numbers that lines name.
"""

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from bench.evaluation import TOP1
from bench.reporting import Row
from bench.reporting.columns import Columns, text
from bench.reporting.layout import GAP, extent, grid
from bench.reporting.units import moment, spread
from bench.reporting.view import Footnotes, frame
from bench.results.changes import told
from bench.results.metrics import primary
from bench.storage.streams import one_line

FIRST = ("run", "status", "set", "ipc", "seed", "protocol", "eval_backbone", "top1_mean", "top1_std")
BESIDE = ("method", "is_control", "dataset", "classes", "backbone", "label_kind", "budget", "eval_seeds")
SHARED = {"dataset": "dataset {}", "budget": "{} budget"}  # said once where all runs share it
RUN, MADE, DAY = "run", "made (UTC)", len("2026-01-02")
CONTROL, CONTROLS = "c", "c: control, real images drawn at random"
WIDTH = 120  # of notes where the output is no terminal
INDENT = "  "
INDENTED: Mapping[str, Any] = {
    **{"initial_indent": INDENT, "subsequent_indent": 2 * INDENT},
    **{"break_long_words": False, "break_on_hyphens": False},
}


def listed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Of a row what `--format json` shows; names of fields are those of rows (docs/rows.md)."""
    made, changed = row.get("made") or {}, row.get("changed") or {}
    shown = {name: row.get(name) for name in FIRST}
    last = {"date": made.get("date"), "changed": changed, "reason": row.get("reason")}
    return {**shown, **_primary(row), **last, **{name: row.get(name) for name in BESIDE}}


def _primary(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the protocol names its primary metric, where that is not top-1."""
    found = primary(row)
    name, mean, std = (None, None, None) if found.name == TOP1 else (found.name, found.mean, found.std)
    return {"primary": name, "primary_mean": mean, "primary_std": std}


def table(rows: Sequence[Row], width: int | None = None) -> str:
    """The rows as text.

    Args:
        width: characters of the terminal: dates are cut to days and left out to keep to it, and names, which are never
            cut, stand in lines of their own where they leave no room for the rest. None: no terminal; every line is
            whole, and says its run.
    """
    footnotes = Footnotes()
    columns = _columns(rows, footnotes)
    notes = [CONTROLS] if any(row.get("is_control") for row in rows) else []
    notes += footnotes.lines()
    body = grid(columns) if width is None else _fitted(columns, width)
    wrapped = [textwrap.fill(note, width or WIDTH, **INDENTED) for note in notes]
    heading = textwrap.fill(one_line(_heading(rows)), width or WIDTH)
    return "\n".join([heading, "", *body, *([""] if notes else []), *wrapped])


def _heading(rows: Sequence[Row]) -> str:
    """How many there are, and what they share."""
    runs = len({row.get("run") for row in rows})
    shared = [said.format(rows[0][name]) for name, said in SHARED.items() if _one_value(rows, name)]
    counted = f"{runs} run{'s' * (runs != 1)}, {len(rows)} evaluation{'s' * (len(rows) != 1)}"
    return f"{counted}; {'all of them: ' * (len(rows) > 1)}{', '.join(shared)}" if shared else counted


def _one_value(rows: Sequence[Row], name: str) -> bool:
    return rows[0].get(name) is not None and all(row.get(name) == rows[0][name] for row in rows)


def _columns(rows: Sequence[Row], footnotes: Footnotes) -> Columns:
    """Columns that are empty in every row are left out, but for those that every row has."""
    unshared = {name: partial(text, name=name) for name in ("set", *SHARED) if not _one_value(rows, name)}
    columns = frame(
        rows,
        {
            RUN: partial(text, name="run"),
            **{name: cell for name, cell in unshared.items() if name != "dataset"},
            "protocol": _protocol,
            _result_title(rows): partial(_result, several=_are_several(rows)),
            "notes": lambda row: " ".join(_marks(row, footnotes)),
            MADE: _made,
        },
    )
    return columns if any(columns["notes"]) else {title: cells for title, cells in columns.items() if title != "notes"}


def _protocol(row: Row) -> str | None:
    """As "hard@1", and the network that was trained where another was condensed with: "hard@1 on resnet18"."""
    name, trained = row.get("protocol_id") or row.get("protocol"), row.get("eval_backbone")
    return f"{name} on {trained}" if name and trained and trained != row.get("backbone") else name


def _are_several(rows: Sequence[Row]) -> bool:
    """Whether protocols name several primary metrics; each then stands beside its value."""
    return len({primary(row).title for row in rows if primary(row).mean is not None}) > 1


def _result_title(rows: Sequence[Row]) -> str:
    titles = {primary(row).title for row in rows if primary(row).mean is not None}
    return f"{titles.pop() if len(titles) == 1 else 'result'}\n(trainings)"


def _result(row: Row, *, several: bool) -> str | None:
    """The primary metric over the trainings, or why there is none."""
    if row.get("status") != "done":
        return row.get("status")
    found = primary(row)
    shown = spread(found.mean, found.std, row.get("eval_seeds"), found.unit)
    return f"{found.title} {shown}" if several and shown else shown


def _marks(row: Row, footnotes: Footnotes) -> list[str]:
    """That it is a control, and the numbers of the notes on what was changed of it and why it failed."""
    texts = (told(row.get("changed") or {}), row.get("reason"))
    return [CONTROL] * bool(row.get("is_control")) + [footnotes.mark(one_line(each)) for each in texts if each]


def _made(row: Row) -> str | None:
    return moment((row.get("made") or {}).get("date"))


def _fitted(columns: Columns, width: int) -> list[str]:
    """The lines within a width. What belongs to a run stands beside the first of its evaluations alone."""
    names = columns[RUN]
    again = [False, *(before == name for before, name in pairwise(names))]
    of_runs = {title: [*map(_unless, cells, again)] for title, cells in columns.items() if title in (RUN, MADE)}
    shown = _narrowed({**columns, **of_runs}, width)
    if _extent(shown) <= width:
        return grid(shown)
    beside = {title: cells for title, cells in {**columns, **of_runs}.items() if title != RUN}
    lines = [(INDENT + line).rstrip() for line in grid(_narrowed(beside, width - len(INDENT)))]
    folded, below = lines[: -len(names)], lines[-len(names) :]
    for name, old, line in zip(names, again, below, strict=True):
        folded += [line] if old else [name, line]
    return folded


def _unless(cell: str, blank: bool) -> str:
    return "" if blank else cell


def _narrowed(columns: Columns, width: int) -> Columns:
    """The columns with days in place of times, or with neither, where they are wider."""
    if _extent(columns) > width and MADE in columns:
        columns = {**columns, MADE: [cell[:DAY] for cell in columns[MADE]]}
    if _extent(columns) > width:
        columns = {title: cells for title, cells in columns.items() if title != MADE}
    return columns


def _extent(columns: Columns) -> int:
    return extent(columns) - GAP
