"""Rows that differ in the seed of their synthesis alone, as one: the mean over sets, and both spreads apart."""

import json
from collections.abc import Callable, Iterable, Sequence
from math import hypot, sqrt
from typing import Any

from bench.results.metrics import deviation, mean, metric, primary_name
from bench.results.null_reasons import ONE_SET, SETS_DIFFER
from bench.results.rows import Row
from bench.results.scores import TOP1

SAME = (
    *("method", "method_version", "backbone", "config", "changed", "budget", "labels_of", "set"),
    *("engine", "synthesis_precision", "dataset", "card_hash", "class_order_hash", "ipc", "eval_backbone", "epochs"),
    *("label_kind", "teacher_backbone", "preprocessing", "device", "device_name", "precision"),
)
MEANS = (
    *("top5_mean", "best_top1_mean", "teacher_top1"),
    *("prepare_s", "synthesis_s", "label_s", "total_s", "seconds_per_image", "warm_up_s"),
    *("evaluation_s", "evaluation_prepare_s", "evaluation_warm_up_s"),
)
COUNTS = ("set_bytes", "label_bytes", "total_bytes", "stage_bytes")  # means too
OBJECTS = ("ms_per_image_iteration", "teacher_on_set")  # of which each number is
LARGEST = ("peak_memory_bytes", "prepare_peak_memory_bytes", "waited")  # of which the largest of each number counts


def over_seeds(rows: Iterable[Row]) -> list[Row]:
    """Each group of finished rows that share all but the seed as one row; the others as they are.

    Each metric is the mean over sets of the means over trainings; its `std`, as `top1_std`, is the sample deviation
    over sets (None of one), `eval_seeds` the number of trainings in all. Top-5 and costs are means; of peaks of memory,
    and of what was waited for cores, the largest counts. What else differs between the sets, as `run` and `seed` do, is
    None, and `null_reasons` says so.

    Besides it has what `bench.results.fields.OF_MEANS` names; `within` is pooled: the root of the mean variance.
    """
    groups = _groups(rows)
    return [row for group in groups for row in ([_pooled(_sets(group))] if _is_done(group) else group)]


def are_sets_of_one(row: Row, other: Row) -> bool:
    """Whether two rows share all but the seed of their synthesis, so that they are draws of one configuration."""
    return _key(row) == _key(other)


def hold_sets_of_one(rows: Sequence[Row]) -> bool:
    """Whether there are two of them that are draws of one configuration."""
    return len(set(map(_key, rows))) < len(rows)


def runs_of(row: Row) -> list[str]:
    """The run of a row, or all those that it is the mean of."""
    return row.get("runs") or [row["run"]]


def controls_of(row: Row) -> list[str]:
    """The runs of its controls."""
    return row.get("controls") or [each for each in [row.get("control")] if each]


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
    """One row a seed: a copy of a record is no other draw, nor is a run whose loops were compiled.

    The one of most trainings counts.
    """
    found: dict[Any, Row] = {}
    for row in group:
        other = found.setdefault(row["seed"], row)
        found[row["seed"]] = max(other, row, key=lambda one: one.get("eval_seeds") or 0)
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
    means |= {name: _by_key(group, name, _most) for name in LARGEST}
    trainings = sum(row.get("eval_seeds") or 0 for row in group)
    within = hypot(*(std / sqrt(len(known)) for std in known)) if known else None
    most = {name: _most([row.get(name) for row in group]) for name in ("workers", "evaluation_workers")}
    times = [seconds for row in group for seconds in row.get("training_seconds") or ()]
    told = {
        "eval_seeds": trainings,
        "training_seconds": times or None,
        **most,
        **_of_sets(group),
        "within": within,
        "warnings": _warnings(group),
    }
    shared = {name: value if _is_shared(group, name) else None for name, value in group[0].items()}
    pooled = {**shared, "versions": _by_key(group, "versions", _one), **_named(group), **scored, **means, **told}
    pooled["null_reasons"] = _reasons(group, pooled)
    return pooled


def _of_sets(group: Sequence[Row]) -> Row:
    """Which sets they are."""
    controls = dict.fromkeys(control for row in group if (control := row.get("control")))
    machines = dict.fromkeys(each for row in group for each in row.get("machines") or ())
    return {
        **({"machines": list(machines)} if machines else {}),
        "sets": len(group),
        "seeds": [row["seed"] for row in group],
        "runs": [row["run"] for row in group],
        "controls": list(controls),
        "is_control": any(row.get("is_control") for row in group),
    }


def _named(group: Sequence[Row]) -> Row:
    """All names under which their one evaluation was asked for."""
    asked = dict.fromkeys(name for row in group for name in row.get("asked") or ())
    return {"protocol": group[0]["protocol"], "asked": list(asked)}


def _is_shared(group: Sequence[Row], name: str) -> bool:
    return all(row.get(name) == group[0][name] for row in group)


def _reasons(group: Sequence[Row], pooled: Row) -> dict[str, str]:
    """Why numbers are null: as of a set, or because sets differ in it, or are one."""
    of_first = (group[0].get("null_reasons") or {}).items()
    found = {name: why for name, why in of_first if pooled.get(name) is None}
    apart = (name for name in group[0] if name != "null_reasons" and not _is_shared(group, name))
    found |= {name: SETS_DIFFER for name in apart if pooled[name] is None}
    if pooled["top1_std"] is None and pooled["top1_mean"] is not None and len(group) == 1:
        found["top1_std"] = ONE_SET
    return found


def _by_key(group: Sequence[Row], name: str, of: Callable[[Sequence[Any]], Any]) -> Row | None:
    """One value of each of an object's, over the rows that have it."""
    known = [row[name] for row in group if row.get(name)]
    return {key: of([each.get(key) for each in known]) for key in known[0]} if known else None


def _one(values: Sequence[Any]) -> Any:  # noqa: ANN401 - any JSON value
    """The value that all have, or None."""
    return values[0] if all(value == values[0] for value in values) else None


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
    """Each once; of some of the sets alone with their seeds."""
    found: dict[str, list[str]] = {}
    for row in group:
        for said in dict.fromkeys(row.get("warnings") or ()):
            found.setdefault(said, []).append(str(row["seed"]))
    return [said if len(seeds) == len(group) else f"{said} (seed {', '.join(seeds)})" for said, seeds in found.items()]
