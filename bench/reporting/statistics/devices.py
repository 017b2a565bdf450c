"""Rows that were measured on several machines, as rows of one: their accuracies compare, and their costs do not."""

from collections.abc import Hashable, Iterable

from bench.reporting import Row, machine, terms

WHERE = ("device", "device_name")
ANY = "any"  # the device of such rows
COSTS = (
    *("evaluation_s", "training_seconds", "evaluation_prepare_s", "evaluation_warm_up_s", "evaluation_workers"),
    *("ms_per_image_iteration", "prepare_s", "synthesis_s", "label_s", "total_s", "seconds_per_image", "warm_up_s"),
    *("workers", "waited", "peak_memory_bytes", "prepare_peak_memory_bytes"),
)
WHY = "it was taken on {machine}, and rows of other machines stand beside it"


def across_devices(rows: Iterable[Row]) -> list[Row]:
    """The finished rows without the device by which rankings, means over seeds and scores split them.

    `machines` names where each was measured. Rows of one ranking that are of several machines have no times and no
    peaks of memory; bytes stay. The arithmetic still splits: bf16, tf32 and fp32 are other results. Of rows that are
    all of one machine, and of those without a result, nothing changes.
    """
    rows = list(rows)
    found: dict[Hashable, set[str]] = {}
    for row in rows:
        if row["status"] == "done":
            found.setdefault(terms(row, WHERE), set()).add(machine(row))
    if len(set().union(*found.values())) < 2:
        return rows
    return [_on_any(row, len(found[terms(row, WHERE)]) > 1) if row["status"] == "done" else row for row in rows]


def _on_any(row: Row, beside_others: bool) -> Row:
    """The row on no device of its own, and where others stand beside it without what machines decide."""
    own = machine(row)
    moved = {**row, **dict.fromkeys(WHERE, ANY), "machines": [own]}
    if not beside_others:
        return moved
    taken = [name for name in COSTS if row.get(name) is not None]
    reasons = {**(row.get("null_reasons") or {}), **dict.fromkeys(taken, WHY.format(machine=own))}
    return {**moved, **dict.fromkeys(taken), "null_reasons": reasons}
