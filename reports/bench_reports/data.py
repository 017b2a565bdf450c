"""Forms for programs: every field of every row, in the order of the runs, nothing rounded."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.reporting import ReportFormat, Row
from bench.reporting.statistics.scores import with_scores
from bench.storage.streams import shown

FIRST = (
    *("run", "status", "reason", "method", "dataset", "classes", "ipc", "images", "backbone", "eval_backbone"),
    *("protocol", "label_kind", "budget", "seed", "top1_mean", "top1_std", "top1_values", "top5_mean", "epochs"),
    *("ms_per_image_iteration", "iterations", "prepare_s", "synthesis_s", "label_s", "evaluation_s"),
    *("seconds_per_image", "peak_memory_bytes", "set_bytes", "label_bytes", "teacher_top1", "device", "precision"),
    *("versions", "control", "claim"),
)
FIRST_OF_SPEED = (
    *("status", "reason", "method", "backbone", "resolution", "batch_size", "engine", "device", "precision"),
    *("ms_per_image_iteration", "peak_memory_bytes", "warm_up_s", "ratio_to_reference", "floor_ms", "times_floor"),
    *("above_model_bytes", "iterations", "device_name", "threads", "dataset", "compiled", "versions", "published"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a text begins with that a spreadsheet would compute
AS_TEXT = ("changed", "notes", "metrics")  # whose keys are other ones in every row
HOLDERS = (dict, list, tuple)
NESTED = {
    "ms_per_image_iteration": ("median", "p20", "p80"),
    "peak_memory_bytes": ("allocated", "reserved", "rss"),
    "prepare_peak_memory_bytes": ("allocated", "reserved", "rss"),
    "waited": ("prepare", "synthesis", "labels", "evaluation_prepare", "evaluation"),
    "teacher_on_set": ("top1", "cross_entropy"),
    "versions": ("bench", "torch", "plugin"),
    "made": ("command", "date", "version", "commit"),
    "claim": ("value", "std", "source"),
    "published": ("ms_per_image_iteration", "peak_gpu_mem_gb", "source"),
}


class Json(ReportFormat):
    """A list of objects, one a row. Strict JSON: a value that is not finite is an error, not a NaN in the file."""

    name = "json"
    suffix = ".json"

    def render(self, rows: Sequence[Row], *, claims: bool) -> str:
        chosen = [row if claims else {**row, "claim": None} for row in rows]
        return _objects([_ordered(row, FIRST) for row in chosen])

    def render_scores(self, rows: Sequence[Row], *, claims: bool) -> str:
        return self.render(with_scores(rows), claims=claims)

    def render_speed(self, rows: Sequence[Row], *, title: str) -> str:
        return _objects([_ordered(row, FIRST_OF_SPEED) for row in rows])

    def render_ladder(self, rows: Sequence[Row], *, title: str, source: str) -> str:
        return _objects([_ordered(row, ("rung", *FIRST)) for row in rows])

    def render_reproduction(self, rows: Sequence[Row], *, title: str) -> str:
        return _objects([_ordered(row, ("cell", *FIRST)) for row in rows])


class Csv(ReportFormat):
    """One line a row; nested values become dotted columns, lists JSON text, and what is not known stays empty.

    `changed`, `notes` and `metrics`, whose keys are others in every row, are JSON text too. Line breaks of any kind
    inside a text are written as \\n, control characters as escapes. A text that a spreadsheet would take for a formula
    begins with an apostrophe, which makes it a text there too; numbers stay numbers.
    """

    name = "csv"
    suffix = ".csv"

    def render(self, rows: Sequence[Row], *, claims: bool) -> str:
        chosen = [row if claims else {name: value for name, value in row.items() if name != "claim"} for row in rows]
        return _lines([_ordered(row, FIRST) for row in chosen])

    def render_scores(self, rows: Sequence[Row], *, claims: bool) -> str:
        return self.render(with_scores(rows), claims=claims)

    def render_speed(self, rows: Sequence[Row], *, title: str) -> str:
        return _lines([_ordered(row, FIRST_OF_SPEED) for row in rows])


def _objects(rows: Sequence[Row]) -> str:
    """As `json.dumps(rows, indent=2)`, a row at a time."""
    lines = ",\n  ".join(_indented(row, "\n  ") for row in rows)
    return f"[\n  {lines}\n]\n" if rows else "[]\n"


def _indented(value: Mapping[str, Any] | Sequence[Any], margin: str) -> str:
    """An object or a list over lines. What it holds is encoded at once: with an indent the library does it in Python.

    Args:
        margin: the line break before its last line, with its blanks.
    """
    inner = f"{margin}  "
    between = f",{inner}"  # which is in no text: there a line break is an escape
    flat, inside = _divided(value)
    text = json.dumps(flat, separators=(between, ": "), allow_nan=False, ensure_ascii=False)
    lines = text[1:-1].split(between) if inside else [text[1:-1]]
    for place, each in inside.items():
        lines[place] = lines[place].removesuffix("null") + _indented(each, inner)
    return f"{text[0]}{inner}{between.join(lines)}{margin}{text[-1]}"


def _divided(value: Mapping[str, Any] | Sequence[Any]) -> tuple[Mapping[str, Any] | Sequence[Any], dict[int, Any]]:
    """The value with null for what holds something itself, and that by its place."""
    every = value.values() if isinstance(value, Mapping) else value
    inside = {place: each for place, each in enumerate(every) if isinstance(each, HOLDERS) and each}
    if not inside:
        return value, inside
    plain = [None if place in inside else each for place, each in enumerate(every)]
    return dict(zip(value, plain, strict=True)) if isinstance(value, Mapping) else plain, inside


def _lines(rows: Sequence[Row]) -> str:
    lines, text = [dict(_flat(row)) for row in rows], io.StringIO()
    titles = dict.fromkeys(name for line in lines for name in line)
    written = csv.DictWriter(text, titles, lineterminator="\n")
    written.writeheader()
    written.writerows(lines)
    return text.getvalue()


def _ordered(row: Row, first: Sequence[str]) -> Row:
    """The row with the fields that every row has before those that are extra."""
    return {name: row[name] for name in (*(name for name in first if name in row), *row)}


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and plain values. An object that is null still has its columns, so that files line up."""
    for name, value in values.items():
        if name in AS_TEXT and not above:
            yield name, json.dumps(value, allow_nan=False)
            continue
        known = NESTED.get(name, ()) if not above else ()
        if known or isinstance(value, dict):
            yield from _flat({**dict.fromkeys(known), **(value or {})}, f"{above}{name}.")
        else:
            yield f"{above}{name}", _plain(value)


def _plain(value: object) -> object:
    if isinstance(value, list | tuple):
        return json.dumps(value, allow_nan=False)
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """A text that is safe in a spreadsheet and on a terminal."""
    lines = value.replace("\r\n", "\n").replace("\r", "\n")  # before Python 3.13 csv leaves a lone \r unquoted
    return f"'{shown(lines)}" if value.startswith(FORMULA) else shown(lines)


JSON, CSV = Json(), Csv()
