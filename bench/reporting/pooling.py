"""Rows that differ in the seed of their synthesis alone, as one: the mean over sets, and both spreads apart."""

import json
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from bench.results.metrics import deviation, metric, primary_name

Row = dict[str, Any]
SAME = (
    *("method", "method_version", "backbone", "config", "budget", "labels_of", "is_control", "set", "engine"),
    *("synthesis_precision", "dataset", "card_hash", "class_order_hash", "ipc", "eval_backbone", "epochs"),
    *("label_kind", "teacher_backbone", "preprocessing", "device", "device_name", "precision"),
)
COSTS = ("prepare_s", "synthesis_s", "label_s", "seconds_per_image", "warm_up_s", "evaluation_s", "teacher_top1")


def over_seeds(rows: Iterable[Row]) -> list[Row]:
    """Each group of finished rows that share all but the seed as one row; the others as they are.

    Its top-1, or other primary metric, is the mean over sets of the means over trainings; `top1_std` is the sample
    deviation over sets (None of one), `eval_seeds` the number of trainings in all. Besides it has `sets`, their number,
    and `within`: the deviation over trainings on one set, pooled (the root of the mean variance). Costs are means.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    return [_pooled(group) if group[0]["status"] == "done" else row for group in groups.values() for row in _one(group)]


def _one(group: Sequence[Row]) -> Sequence[Row]:
    return group[:1] if group[0]["status"] == "done" else group


def _key(row: Row) -> str:
    protocol = row.get("protocol_id") or row["protocol"]
    return json.dumps([row["status"], protocol, *(row.get(name) for name in SAME)], sort_keys=True, default=str)


def _pooled(group: Sequence[Row]) -> Row:
    name = primary_name(group[0])
    each = [metric(row, name) for row in group]
    means = [found.mean for found in each if found.mean is not None]
    variances = [found.std**2 for found in each if found.std is not None]
    said: dict[str, Any] = {"mean": fmean(means), "std": deviation(means), "values": means}
    if name == "top1":
        scored = {f"top1_{what}": value for what, value in said.items()}
    else:
        scored = {"metrics": {**group[0]["metrics"], name: {**group[0]["metrics"][name], **said}}}
    costs = {cost: _mean([row.get(cost) for row in group]) for cost in COSTS}
    trainings = sum(row.get("eval_seeds") or 0 for row in group)
    within = fmean(variances) ** 0.5 if variances else None
    one = group[0]["seed"] if len(group) == 1 else None
    told = {"seed": one, "sets": len(group), "within": within, "eval_seeds": trainings}
    return {**group[0], **scored, **costs, **told, "warnings": _warnings(group)}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _warnings(group: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(said for row in group for said in row.get("warnings") or ()))
