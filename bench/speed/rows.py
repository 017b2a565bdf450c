"""What a row says: what was measured, its distance to the reference and to the floor, and what was published."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.reporting import REFERENCE, Row
from bench.results.claims import COSTS, Claim, Claims
from bench.running.environment import versions
from bench.speed.planning import Planned

MEASURED = (
    *("iterations", "ms_per_image_iteration", "peak_memory_bytes", "above_model_bytes", "warm_up_s", "compiled"),
    "waited",
)
MEMORY = {"allocated": None, "reserved": None, "rss": None}


@dataclass
class RowResult:
    """How a planned row ended: what was measured, or why nothing was. `floors` are ms an image, measured around it."""

    planned: Planned
    status: str
    reason: str | None = None
    measured: dict[str, Any] = field(default_factory=dict)
    floors: list[float] = field(default_factory=list)


def rows(
    outcomes: Sequence[RowResult], arithmetic: Mapping[str, Any], claims: Claims, table: str | None, source: str | None
) -> list[Row]:
    """The rows of a speed table, in order.

    Args:
        arithmetic: see `bench.running.environment.arithmetic`.
        table: the table's name, where one was asked for.
        source: whose claims stand beside; None for any.
    """
    made = [
        {
            "table": table,
            **_identity(each),
            **arithmetic,
            **({"precision": each.planned.step.precision} if each.planned.step else {}),
            **_numbers(each),
            "published": _published(each, claims, source),
        }
        for each in outcomes
    ]
    references = {_cell(row): _median(row) for row in made if row["engine"] == REFERENCE}
    return [{**row, "ratio_to_reference": _ratio(references.get(_cell(row)), _median(row))} for row in made]


def _identity(outcome: RowResult) -> Row:
    planned, step = outcome.planned, outcome.planned.step
    return {
        "status": outcome.status,
        "reason": outcome.reason,
        "method": planned.method,
        "backbone": planned.backbone,
        "published_as": planned.published_as,
        "dataset": planned.card.name,
        "resolution": planned.card.resolution,
        "batch_size": planned.batch_size or outcome.measured.get("images"),
        "engine": planned.engine,
        "varied": dict(planned.varied) if planned.varied else None,
        "config": step.method.config if step else None,
        "versions": versions(step.method) if step else {"bench": None, "torch": None, "plugin": None},
    }


def _numbers(outcome: RowResult) -> Row:
    measured = {name: outcome.measured.get(name) for name in MEASURED}
    median = _median(measured)
    floor = statistics.median(outcome.floors) if outcome.floors and median is not None else None
    return {
        **measured,
        "peak_memory_bytes": measured["peak_memory_bytes"] or MEMORY,
        "floor_ms": floor,
        "floor_ms_values": outcome.floors if floor is not None else [],
        "times_floor": _ratio(median, floor),
    }


def _published(outcome: RowResult, claims: Claims, source: str | None) -> dict[str, Any] | None:
    """What the first source that says anything about the cell says of its costs; its note says under which terms."""
    planned = outcome.planned
    found = [
        claim
        for claim in claims.costs(planned.method, planned.backbone)
        if claim.dataset == planned.known_as and claim.source == (source or claim.source)
    ]
    if not found:
        return None
    values = {metric: _value(found, metric, found[0].source) for metric in COSTS}
    return {**values, "source": found[0].source, "note": found[0].note}


def _value(claims: Sequence[Claim], metric: str, source: str) -> float | None:
    return next((claim.value for claim in claims if (claim.metric, claim.source) == (metric, source)), None)


def _cell(row: Row) -> tuple[Any, ...]:
    return row["method"], row["backbone"], row["batch_size"], str(row["varied"])


def _median(row: Row) -> float | None:
    times = row["ms_per_image_iteration"]
    return times["median"] if times else None


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None
