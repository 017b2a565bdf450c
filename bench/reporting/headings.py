"""What rows share, in words: the headings of rankings, pivots and figures."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from bench.reporting.amounts import amount, condensed_with
from bench.results.rows import Row

SEPARATOR = " · "  # of facts
ZCA = "zca"  # the preprocessing of whitened sets
# Kinds of labels that are one row an image, learned or made with it: what rankings and headings call them.
OWN = {"soft": ("own soft", "soft labels made with the images"), "regression": ("regression", "regression targets")}
REFERENCE = "reference"  # the engine that is written to be read; others are compared with it


def heading(rows: Sequence[Row]) -> str:
    """What all of the rows share, in words: rows of one ranking, or of a pivot, whose networks or datasets differ."""
    row, of_all = rows[0], partial(common, rows)
    protocol, network = row.get("protocol_id") or row["protocol"], of_all("eval_backbone")
    facts = [
        ", ".join(filter(None, [_dataset(rows), _classes(rows), "" if of_all("ipc") is None else amount(rows)])),
        condensed_with(rows, of_all("backbone")),
        str(protocol) + (f" on {network}" if network else "") + epochs_fact(of_all("epochs")),
        label_facts(rows),
        "ZCA-whitened images" if of_all("preprocessing") == ZCA else "",
        f"{row['budget']} budget" + (", changed" if any(each.get("changed") for each in rows) else ""),
        f"{REFERENCE} engine" if is_of_reference(rows) else "",
        f"{machines(rows)}, {row['precision']}",
    ]
    return SEPARATOR.join(fact for fact in facts if fact)


def is_of_reference(rows: Iterable[Row]) -> bool:
    """Whether all rows are of the plain reference engine, but for those that have none."""
    return {row.get("engine") for row in rows} - {None} == {REFERENCE}


def _dataset(rows: Sequence[Row]) -> str:
    name, copies = common(rows, "dataset"), copies_of(rows[0])
    return "" if name is None else f"{name} ({copies})" if copies and common(rows, "source_differs") else str(name)


def copies_of(row: Row) -> str:
    """As "parquet: JPEG copies of quality 75", where the images are not the official ones."""
    return f"{row['dataset_source']}: {row['source_differs']}" if row.get("source_differs") else ""


def _classes(rows: Sequence[Row]) -> str:
    every, used = common(rows, "all_classes"), common(rows, "classes")
    if used is None:
        return ""
    return f"{used} of {every} classes" if every and every != used else f"{used} classes"


def label_facts(rows: Sequence[Row]) -> str:
    """As "online labels of resnet18 (59.60 %)"."""
    kind, teacher, top1 = (common(rows, name) for name in ("label_kind", "teacher_backbone", "teacher_top1"))
    if kind in (None, "hard"):
        return f"{kind} labels" if kind else ""
    if kind in OWN:
        return OWN[kind][1]
    whose = f" of {teacher}" if teacher else ""
    accuracy = f" ({top1:.2f} %)" if teacher and top1 is not None else ""
    return f"{'soft' if kind == 'teacher' else kind} labels{whose}{accuracy}"


def epochs_fact(count: int | None) -> str:
    """As ", 300 epochs", or nothing where that is not known."""
    if count is None:
        return ""
    return f", {count} epoch" if count == 1 else f", {count} epochs"


def machine(row: Row) -> str:
    """Where a row was measured: the device's own name, where it is known, and its kind."""
    name, kind = row.get("device_name"), row.get("device") or "unknown device"
    return f"{name} ({kind})" if name else str(kind)


def machines(rows: Iterable[Row]) -> str:
    """Where rows of one ranking were measured, which is one machine but with --across device."""
    return ", ".join(dict.fromkeys(each for row in rows for each in row.get("machines") or [machine(row)]))


def common(rows: Sequence[Row], name: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value of a field that all rows share and that is known, or None."""
    first = rows[0].get(name)
    return first if all(row.get(name) == first for row in rows) else None
