"""Rows that differ in the seed of their synthesis alone, as one: the mean over sets, and both spreads apart."""

import json
from collections.abc import Callable, Iterable, Sequence
from math import hypot, sqrt
from typing import Any

from bench.results.metrics import deviation, mean, metric, primary_name
from bench.results.scores import TOP1

Row = dict[str, Any]
SAME = (
    *("method", "method_version", "backbone", "config", "budget", "labels_of", "is_control", "set", "engine"),
    *("synthesis_precision", "dataset", "card_hash", "class_order_hash", "ipc", "eval_backbone", "epochs"),
    *("label_kind", "teacher_backbone", "preprocessing", "device", "device_name", "precision"),
)
MEANS = (
    *("top5_mean", "best_top1_mean", "teacher_top1"),
    *("prepare_s", "synthesis_s", "label_s", "seconds_per_image", "warm_up_s"),
    *("evaluation_s", "evaluation_prepare_s", "evaluation_warm_up_s"),
)
COUNTS = ("set_bytes", "label_bytes")  # means too
OBJECTS = ("ms_per_image_iteration", "teacher_on_set")  # of which each number is


def over_seeds(rows: Iterable[Row]) -> list[Row]:
    """Each group of finished rows that share all but the seed as one row; the others as they are.

    Each metric is the mean over sets of the means over trainings; its `std`, as `top1_std`, is the sample deviation
    over sets (None of one), `eval_seeds` the number of trainings in all. Besides it has `sets`, their number, and
    `within`: the deviation over trainings on one set, pooled (root of the mean variance). Top-5 and costs are means;
    of peaks of memory the largest counts.
    """
    groups = _groups(rows)
    return [row for group in groups for row in ([_pooled(_sets(group))] if _is_done(group) else group)]


def _groups(rows: Iterable[Row]) -> list[list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    return list(groups.values())


def sets_as_one(rows: Iterable[Row]) -> list[Row]:
    """As `over_seeds`, but a set that is alone stays as it is, with the deviation over its trainings."""
    groups = [_sets(group) if _is_done(group) else group for group in _groups(rows)]
    return [row for group in groups for row in ([_pooled(group)] if _is_done(group) and len(group) > 1 else group)]


def _is_done(group: Sequence[Row]) -> bool:
    return bool(group[0]["status"] == "done")


def _sets(group: Sequence[Row]) -> list[Row]:
    """One row a run: a copy of a record is no other set. The one of most trainings counts."""
    found: dict[Any, Row] = {}
    for row in group:
        other = found.setdefault(row["run"], row)
        found[row["run"]] = max(other, row, key=lambda one: one.get("eval_seeds") or 0)
    return list(found.values())


def _key(row: Row) -> str:
    protocol = row.get("protocol_id") or row["protocol"]
    return json.dumps([row["status"], protocol, *(row.get(name) for name in SAME)], sort_keys=True, default=str)


def _pooled(group: Sequence[Row]) -> Row:
    measured = group[0].get("metrics") or {}
    scored = {f"{TOP1}_{what}": value for what, value in _over_sets(group, TOP1).items()}
    scored["metrics"] = {name: {**of_first, **_over_sets(group, name)} for name, of_first in measured.items()}
    spreads = [metric(row, primary_name(row)).std for row in group]
    known = [std for std in spreads if std is not None]
    means: Row = {name: _mean([row.get(name) for row in group]) for name in MEANS}
    means |= {name: _whole(_mean([row.get(name) for row in group])) for name in COUNTS}
    means |= {name: _by_key(group, name, _mean) for name in OBJECTS}
    means["peak_memory_bytes"] = _by_key(group, "peak_memory_bytes", _most)
    trainings = sum(row.get("eval_seeds") or 0 for row in group)
    within = hypot(*(std / sqrt(len(known)) for std in known)) if known else None
    one = group[0]["seed"] if len(group) == 1 else None
    most = {name: max(row.get(name) or 1 for row in group) for name in ("workers", "evaluation_workers")}
    told = {"seed": one, "sets": len(group), "within": within, "eval_seeds": trainings, **most}
    pooled = {**group[0], **scored, **means, **told, "warnings": _warnings(group)}
    reasons = (group[0].get("null_reasons") or {}).items()
    return {**pooled, "null_reasons": {name: why for name, why in reasons if pooled.get(name) is None}}


def _by_key(group: Sequence[Row], name: str, of: Callable[[Sequence[float | None]], float | None]) -> Row | None:
    """One number of each of an object's, over the rows that have it."""
    known = [row[name] for row in group if row.get(name)]
    return {key: of([each.get(key) for each in known]) for key in known[0]} if known else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _over_sets(group: Sequence[Row], name: str) -> dict[str, Any]:
    means = [mean for row in group if (mean := metric(row, name).mean) is not None]
    return {"mean": _mean(means), "std": deviation(means), "values": means}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _warnings(group: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(said for row in group for said in row.get("warnings") or ()))
