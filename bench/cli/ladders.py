"""`bench run --ladder` from request to table."""

from collections.abc import Sequence
from pathlib import Path

from bench.cli.console import Console
from bench.cli.grid import carried_out, executor_for, planned_ladder, printed, rows_of
from bench.extensions.registry import Registry
from bench.reporting import ReportFormat, Row
from bench.running.ladders import Placed, find_ladder
from bench.running.planning import Request


def climb(
    request: Request, plugins: Sequence[str], runs: Path, form: str, *, retry: bool, timeout: float | None
) -> int:
    """Does the jobs of a ladder's rungs and prints them in their order; returns the exit status.

    Raises:
        UsageError: a request that cannot be right; nothing was written.
    """
    registry = Registry(plugins)
    format_: ReportFormat = registry.load("format", form)
    format_.render_ladder([], title="", source="")  # refuses before any work
    ladder = find_ladder(registry, request.ladder or "")
    with Console() as console:
        jobs, placed, planner = planned_ladder(request, registry, console, runs)
        executor = executor_for(planner, jobs, registry, runs, console, retry=retry, timeout=timeout)
        ended, stopped = carried_out(executor, jobs, console)
    rows = laddered(placed, rows_of(jobs, ended))
    if rows:
        printed(format_.render_ladder(rows, title=ladder.title, source=ladder.source), runs)
    if stopped:
        return 130
    return 0 if all(row["status"] == "done" for row in rows) else 1


def laddered(placed: Sequence[Placed], rows: Sequence[Row]) -> list[Row]:
    """The rows that answer for each rung, from the first to the last, each with its rung."""
    found = {(row["run"], row["protocol"], row["eval_backbone"]): row for row in rows}
    answers = [
        (each.rung, found.get((job.spec.name, evaluation.asked, evaluation.backbone)))
        for each in placed
        for job in each.jobs
        for evaluation in job.evaluations
    ]
    told = ("name", "change", "published")
    return [{**row, "rung": rung.model_dump(include=set(told))} for rung, row in answers if row is not None]
