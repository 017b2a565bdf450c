"""The metrics of a row: means over its trainings, and which of them rows are ranked by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from bench.results.outcomes import MetricPart
from bench.results.scores import TOP1, Better
from bench.storage.streams import one_line

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Summary:
    """A metric over the trainings of one row.

    Attributes:
        name, unit, better: as in `bench.evaluation.Metric`.
        mean, std: over trainings; None where nothing was measured, and a deviation of one training.
        values: each training's.
    """

    name: str
    mean: float | None
    std: float | None = None
    values: Sequence[float] = field(default_factory=list)
    unit: str = "%"
    better: Better = "higher"

    @property
    def words(self) -> str:
        """Its name for people: "top-1", "average incremental"."""
        return "top-1" if self.name == TOP1 else self.name.replace("_", " ")

    @property
    def title(self) -> str:
        """With its unit: "top-1 %"."""
        return one_line(f"{self.words} {self.unit}")

    @property
    def badness(self) -> float:
        """Grows as results get worse; what was not measured is worst."""
        if self.mean is None:
            return float("inf")
        return -self.mean if self.better == "higher" else self.mean


def primary_name(row: Fields) -> str:
    """The metric by which a row is ranked; of rows from before there were others, and without a result, top-1."""
    return row.get("primary") or TOP1


def primary(row: Fields) -> Summary:
    """That metric."""
    return metric(row, primary_name(row))


def metric(row: Fields, name: str) -> Summary:
    """A metric of a row by its name; without values where the row has none of it."""
    if name == TOP1:
        return Summary(TOP1, row.get("top1_mean"), row.get("top1_std"), row.get("top1_values") or [])
    return Summary(name, **(row.get("metrics") or {}).get(name, {"mean": None}))


def others(rows: Sequence[Fields]) -> list[str]:
    """The metrics of these rows besides the primary ones, top-1 first, then as they were measured."""
    named = dict.fromkeys([TOP1, *(name for row in rows for name in row.get("metrics") or {})])
    return [name for name in named if name not in set(map(primary_name, rows))]


def summed_up(measured: Sequence[MetricPart]) -> dict[str, Any]:
    """A metric of every training as a row keeps it: mean, std, values, unit and better."""
    values = [each.value for each in measured]
    told = {"mean": mean(values), "std": deviation(values), "values": values}
    return {**told, "unit": measured[0].unit, "better": measured[0].better}


def mean(values: Sequence[float]) -> float:
    """The mean of finite values, whatever their sum; there is at least one."""
    try:
        return fmean(values)
    except OverflowError:
        unit = 2.0 ** len(values).bit_length()  # exact: values of which a sum overflows are no small ones
        return fmean(value / unit for value in values) * unit


def deviation(values: Sequence[float]) -> float | None:
    """The sample deviation; None of one value, and where it is more than a float holds."""
    try:
        return stdev(values) if len(values) > 1 else None
    except OverflowError:
        return None
