"""Parts of a plan that share jobs: the rungs of a ladder, the cells of a published table."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bench.planning.planner import Planner
from bench.results.rows import Row
from bench.results.spec import Job, joined

Part = TypeVar("Part")
Part_co = TypeVar("Part_co", covariant=True)


@dataclass(frozen=True)
class Placed(Generic[Part_co]):
    """A part of a plan, all its jobs in order, and those among them that answer for it: one a seed, and no control."""

    part: Part_co
    every: tuple[Job, ...]
    jobs: tuple[Job, ...]


def place(part: Part, planner: Planner) -> Placed[Part]:
    """The part with what its planner plans. Raises UsageError as `Planner.jobs`."""
    jobs = planner.jobs()
    return Placed(part, tuple(jobs), tuple(job for job in jobs if job.spec.method.name in planner.request.methods))


def together(placed: Iterable[Placed[Any]]) -> list[Job]:
    """The jobs of all parts, each once, controls before what is compared with them."""
    found: dict[str, Job] = {}
    for job in (job for each in placed for job in each.every):
        found[job.spec.name] = joined(found.get(job.spec.name), job)
    return list(found.values())


def answers(placed: Iterable[Placed[Part]], rows: Sequence[Row]) -> Iterator[tuple[Part, Row]]:
    """Each part with each row that answers for it, in the order of the parts."""
    found = {(row["run"], row["protocol_id"], row["eval_backbone"]): row for row in rows}
    for each in placed:
        for job in each.jobs:
            for evaluation in job.evaluations:
                if row := found.get((job.spec.name, evaluation.protocol_id, evaluation.backbone)):
                    yield each.part, {**row, "protocol": evaluation.asked}
