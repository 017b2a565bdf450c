"""A table of speeds as a reader sees it: one view, in the order asked for."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from bench.reporting import REFERENCE, Row, common, machine
from bench.reporting.columns import OF_SYNTHESIS, Quantity, distinct_title, plain, quantity
from bench.reporting.remarks import in_company
from bench.reporting.units import COMPANY, digits, duration, size
from bench.reporting.view import Cell, Footnotes, RankingView, frame, inside, numbers_of, units_of
from bench.storage.streams import one_line

LEGEND = (
    "ms/image-iteration: one step over the images it updates, median (20th to 80th percentile), after the warm-up",
    "floor: the network's convolutions and linear layers alone, forward and input gradient, on the same device",
    "peak memory: while images are made, above what the process held before (the model, libraries)",
)


def speed_views(rows: Sequence[Row], title: str) -> list[RankingView]:
    """One view, or none without rows."""
    if not rows:
        return []
    footnotes = Footnotes()
    costs = _costs(footnotes)
    return [
        RankingView(
            heading=one_line(_heading(rows, title)),
            identity=frame(rows, _identity(rows)),
            groups=tuple(group for group in (frame(rows, TIMES), frame(rows, costs)) if group),
            notes=(
                *LEGEND,
                *map(one_line, [*_names(rows), *in_company(rows, (OF_SYNTHESIS,)), *_remarks(rows)]),
                *footnotes.lines(),
            ),
            rows=tuple(rows),
            numbers=numbers_of(rows, TIMES | costs),
            units=units_of(costs),
        )
    ]


def _heading(rows: Sequence[Row], title: str) -> str:
    row = rows[0]
    batch = _batch(rows)
    shape = f"{row['resolution']}×{row['resolution']} pixels" + (f", batch {batch}" if batch else "")
    threads = "" if row["device"] == "cuda" else f", {row['threads']} threads"
    return " · ".join(filter(None, [title, f"{machine(row)}{threads}", _precision(rows), shape]))


def _precision(rows: Sequence[Row]) -> str | None:
    """That of all rows that were to be measured, where it is one."""
    measured = [row for row in rows if row["status"] != "skipped"] or rows
    precision: str | None = common(measured, "precision")
    return precision


def _batch(rows: Sequence[Row]) -> Any:  # noqa: ANN401 - a number or None
    """The batch of all rows that have one."""
    known = [row for row in rows if row["batch_size"] is not None]
    return common(known, "batch_size") if known else None


def _identity(rows: Sequence[Row]) -> dict[str, Cell]:
    columns: dict[str, Cell] = {
        "method": lambda row: str(row["method"]),
        "backbone": lambda row: str(row["backbone"]),
        "engine": lambda row: row["engine"],
    }
    taken = (*columns, "precision", "batch")
    columns |= {distinct_title(name, taken, "varied"): partial(_varied, name=name) for name in varied(rows)}
    if _precision(rows) is None:
        columns["precision"] = lambda row: None if row["status"] == "skipped" else str(row["precision"])
    if _batch(rows) is None:
        columns["batch"] = lambda row: None if row["batch_size"] is None else str(row["batch_size"])
    return columns


def varied(rows: Sequence[Row]) -> list[str]:
    """The hyper-parameters that rows were varied in."""
    return list(dict.fromkeys(name for row in rows for name in row["varied"] or {}))


def _varied(row: Row, name: str) -> str | None:
    value = (row["varied"] or {}).get(name)
    return None if value is None else str(value)


def _time(row: Row) -> str | None:
    """As "9.31 (9.10–10.2)", marked where it waited for cores."""
    times, mark = row["ms_per_image_iteration"], COMPANY if OF_SYNTHESIS.disturbed(row) else ""
    return times and f"{digits(times['median'])} ({digits(times['p20'])}–{digits(times['p80'])}){mark}"


TIMES: dict[str, Cell] = {
    "ms/image-\niteration": Quantity(_time, inside("ms_per_image_iteration", "median")),
    "× faster than\nreference": quantity(
        lambda row: None if row["engine"] == REFERENCE else row["ratio_to_reference"], digits
    ),
    "floor,\nms": plain("floor_ms", digits),
    "× floor": plain("times_floor", digits),
}


def _costs(footnotes: Footnotes) -> dict[str, Cell]:
    def published(name: str, unit: str) -> Cell:
        def cell(row: Row) -> str | None:
            value = inside("published", name)(row)
            return None if value is None else f"{value:g}{unit} {footnotes.mark(_source(row))}"

        return Quantity(cell, inside("published", name))

    return {
        "peak\nmemory": plain("above_model_bytes", size),
        "warm-up": plain("warm_up_s", duration),
        "published\nms": published("ms_per_image_iteration", ""),
        "published\nmemory": published("peak_gpu_mem_gb", " GB"),
    }


def _source(row: Row) -> str:
    claim = row["published"]
    return one_line("; ".join(filter(None, [claim["source"], claim["note"]])))


def _names(rows: Sequence[Row]) -> list[str]:
    """What the source calls a backbone."""
    names = {row["backbone"]: row["published_as"] for row in rows if row["published_as"]}
    return ["published as: " + ", ".join(f"{ours} {theirs}" for ours, theirs in names.items())] if names else []


def _remarks(rows: Sequence[Row]) -> list[str]:
    """Why rows have no numbers, and why steps that could be compiled are not."""
    without = [row for row in rows if row["status"] != "done"]
    plain: dict[str, list[str]] = {}
    for row in rows:
        for loop, choice in (row["compiled"] or {}).items():
            if not choice["compiled"]:
                plain.setdefault(f"{loop} is not compiled ({choice['why']})", []).append(_named(row))
    return [
        *(f"{row['status']}: {_named(row)}: {row['reason'] or 'no reason was given'}" for row in without),
        *(f"{what}: {', '.join(which)}" for what, which in plain.items()),
    ]


def _named(row: Row) -> str:
    return " ".join(filter(None, [row["method"], "on", row["backbone"], row["engine"]]))
