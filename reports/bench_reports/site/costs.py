"""What a run cost, stage by stage; of what is not known, why."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.reporting import Row
from bench.reporting.columns import prepared
from bench.reporting.units import UNKNOWN, digits, duration, size
from bench.reporting.view import inside
from bench.storage.streams import one_line
from bench_reports.site.rankings import where
from bench_reports.site.tables import Table, plain

Fact = tuple[str, str | None, str]  # what, how much, and the field whose null may have a reason

HASH = 6  # digits, as a forecast names a stage
TITLES = ("what", "cost", "remark")


def costs(rows: Sequence[Row], record: Mapping[str, Any] | None) -> Table | None:
    """The costs of a run's rows, of which all share what the set cost; None where nothing is known."""
    facts = [*_of_set(rows[0]), *_of_stages(record), *_of_evaluations(rows)]
    lines = [(what, shown or UNKNOWN, remark) for what, shown, remark in facts if shown or remark]
    return plain("Costs by stage", TITLES, lines, numbers=[1]) if any(shown for _, shown, _ in facts) else None


def _of_set(row: Row) -> Iterator[Fact]:
    reasons = row.get("null_reasons") or {}
    for what, shown, name, remark in [*_times(row), *_space(row)]:
        yield what, shown, one_line(remark if shown else reasons.get(name, ""))


def _times(row: Row) -> list[tuple[str, str | None, str, str]]:
    step = row.get("ms_per_image_iteration") or {}
    median = f"{digits(step['median'])} ms" if step else None
    around = f"20 to 80 % of windows: {digits(step['p20'])} to {digits(step['p80'])} ms" if step else ""
    iterations = row.get("iterations")
    return [
        ("prepare", duration(prepared(row)), "prepare_s", "teachers, experts; what they cost when made"),
        ("synthesis", duration(row.get("synthesis_s")), "synthesis_s", "all images"),
        ("warm-up", duration(row.get("warm_up_s")), "warm_up_s", "part of the synthesis"),
        ("per image", duration(row.get("seconds_per_image")), "seconds_per_image", "synthesis over images"),
        ("per image and iteration", median, "ms_per_image_iteration", around),
        ("iterations", None if iterations is None else str(iterations), "iterations", "of one image"),
    ]


def _space(row: Row) -> list[tuple[str, str | None, str, str]]:
    memory = inside("peak_memory_bytes", "allocated")(row)
    resident = inside("peak_memory_bytes", "rss")(row)
    return [
        ("peak memory of the device", size(memory), "", "while images are made"),
        ("peak memory of the process", size(resident), "", "resident, while images are made"),
        ("images", size(row.get("set_bytes")), "set_bytes", "as stored"),
    ]


def _of_labels(row: Row, where: str) -> Iterator[Fact]:
    """Of those that an evaluation trains on."""
    reasons, kept, taken = row.get("null_reasons") or {}, row.get("label_bytes"), duration(row.get("label_s"))
    said = "they themselves, or the teacher that makes them" if kept else reasons.get("label_bytes", "")
    yield f"labelling, {where}", taken, "" if taken else reasons.get("label_s", "")
    yield f"labels, {where}", size(kept), said


def _of_stages(record: Mapping[str, Any] | None) -> Iterator[Fact]:
    """Stages that may be shared, each as it was made."""
    for key, stage in ((record or {}).get("costs", {}).get("stages") or {}).items():
        held = stage["memory"]["allocated"] or stage["memory"]["rss"]
        name = one_line(" ".join(["stage", *filter(None, [stage.get("kind")]), key[:HASH]]))
        yield name, duration(stage["seconds"]), f"peak {size(held)}" if held else ""


def _of_evaluations(rows: Sequence[Row]) -> Iterator[Fact]:
    for row in rows:
        said = where(row)
        yield from _of_labels(row, said)
        yield f"shared stages, {said}", duration(row.get("evaluation_prepare_s")), ""
        yield f"evaluation, {said}", duration(row.get("evaluation_s")), f"{row.get('eval_seeds')} trainings"
