"""`bench run --dry-run` from request to table: what is left to do, and how long it would take."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from tabulate import tabulate

from bench.cli.console import Console
from bench.cli.grid import planned
from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.hardware.quantities import duration, peak_of, size
from bench.loops.pace import TRIAL_SECONDS
from bench.planning.request import Request
from bench.results.spec import Job
from bench.running.executors import Executor
from bench.running.forecasting.forecast import Forecast
from bench.running.forecasting.trial_counts import expectation
from bench.running.forecasting.trials import TriedStage, greatest_peak

PARTS = {
    "prepare": "prepare_s",
    "synthesis": "synthesis_s",
    "labels": "label_s",
    "shared stages": "evaluation_prepare_s",
    "evaluation": "evaluation_s",
}
WORTH_SAYING_S = 1.0


def foresee(request: Request, registry: Registry, runs: Path, form: str, *, timeout: float | None = None) -> int:
    """Tries the jobs of a request and prints what each would take; returns the exit status.

    Args:
        timeout: seconds after which a trial is stopped, as its run would be.

    Raises:
        UsageError: a request that cannot be right.
    """
    registry.load("format", form)
    found: list[Forecast] = []
    with Console() as console:
        plan = planned(request, registry, runs, console, retry=False, timeout=timeout)
        stopped = filled(found, tried(plan.executor, plan.jobs, registry, console), console)
    return shown(found, form, stopped=stopped)


def filled(found: list[Forecast], some: Iterable[Forecast], console: Console) -> bool:
    """Adds forecasts as they come; whether the user asked to stop."""
    try:
        found.extend(some)
    except Interrupted:
        console.say(f"stopped; what {len(found)} would take is known")
        return True
    return False


def tried(executor: Executor, jobs: Sequence[Job], registry: Registry, console: Console) -> Iterator[Forecast]:
    """What each job would take. Raises Interrupted: the user asked to stop."""
    for forecast in executor.foresee(jobs, lambda left: _announce(console, left, registry)):
        console.end(forecast.run)
        if forecast.reason:
            console.warn(f"{forecast.run}: {forecast.reason}")
        yield forecast


def shown(found: Sequence[Forecast], form: str, *, stopped: bool = False) -> int:
    """Prints what was found, if anything was before the user `stopped` it; returns the exit status."""
    if found or not stopped:
        click.echo(json.dumps([each.to_json() for each in found], indent=2) if form == "json" else table(found))
    if stopped:
        return 130
    return 1 if any(each.status == "failed" for each in found) else 0


def _announce(console: Console, left: Sequence[Job], registry: Registry) -> None:
    """Says how long the trial may take."""
    if left:
        console.say(expectation(left, registry))


def table(found: Sequence[Forecast]) -> str:
    """A row for each run, and below them what was not measured, and what all take together."""
    headers = ["run", *PARTS, "total", "peak memory", "of stages", "disk"]
    text = tabulate(
        [_cells(each) for each in found],
        headers,
        disable_numparse=True,
        colalign=("left", *["right"] * (len(headers) - 1)),
    )
    return "\n".join([text, "", *_notes(found), _sum(found)])


def _notes(found: Sequence[Forecast]) -> list[str]:
    """Why some have no numbers, how long others were tried, and each note with the runs that it is of."""
    runs: dict[str, list[str]] = {}
    for each in found:
        for note in each.notes:
            runs.setdefault(note, []).append(each.run)
    failed = [f"failed: {each.run}: {each.reason}" for each in found if each.status == "failed"]
    tried = f"Each loop was tried for at most {TRIAL_SECONDS:.0f} s, a slow step to its end."
    notes = [f"{note} ({_named(names)})" for note, names in runs.items()]
    return [*failed, *([tried, *notes] if any(each.status == "to do" for each in found) else [])]


def _named(runs: Sequence[str]) -> str:
    return runs[0] if len(runs) == 1 else f"{runs[0]} and {len(runs) - 1} more"


def _cells(each: Forecast) -> list[str]:
    if each.status != "to do":
        return [each.run, *[""] * len(PARTS), each.status, "", "", ""]
    peak = peak_of(each.peak_memory_bytes) or 0  # 0: picked or brought, never measured
    parts = [duration(getattr(each, name) or 0.0) for name in PARTS.values()]
    peaks = [size(held) if held else "" for held in (peak, greatest_peak(each.stages))]
    return [each.run, *parts, duration(each.total_s), *peaks, size(each.disk_bytes or 0)]


def _sum(found: Sequence[Forecast]) -> str:
    """The seconds of all runs, with each stage that several have counted once and named."""
    users = _users(found)
    twice = {stage: count for stage, count in users.items() if count > 1}
    total = sum(each.total_s for each in found) - sum(stage.seconds * (count - 1) for stage, count in twice.items())
    named = [
        f"{stage.kind} {stage.hash[:6]} ({duration(stage.seconds)}) of {count} runs"
        for stage, count in twice.items()
        if stage.seconds >= WORTH_SAYING_S
    ]
    failed = sum(each.status == "failed" for each in found)
    unknown = f", without {failed} that failed to be tried" if failed else ""
    shared = f"; made once: {', '.join(named)}" if named else ""
    return f"In all {duration(total)}{unknown}{shared}."


def _users(found: Sequence[Forecast]) -> dict[TriedStage, int]:
    """How many runs have each stage, as the first of them found it."""
    first: dict[str, TriedStage] = {}
    users: dict[TriedStage, int] = {}
    for stage in (stage for each in found for stage in each.stages):
        known = first.setdefault(stage.hash, stage)
        users[known] = users.get(known, 0) + 1
    return users


@dataclass
class Counted:
    """The runs and shared stages that are counted already."""

    runs: set[str] = field(default_factory=set)
    stages: set[str] = field(default_factory=set)

    def added_seconds(self, forecasts: Sequence[Forecast]) -> float | None:
        """The seconds that these take on top of what is counted; None where a trial failed."""
        if any(each.status == "failed" for each in forecasts):
            return None
        new = [each for each in forecasts if each.run not in self.runs]
        seconds, seen = 0.0, set(self.stages)
        for each in new:
            seconds += each.total_s
            for stage in each.stages:
                seconds -= stage.seconds if stage.hash in seen else 0.0
                seen.add(stage.hash)
        return seconds

    def add(self, forecasts: Sequence[Forecast]) -> None:
        """Counts them."""
        self.runs |= {each.run for each in forecasts}
        self.stages |= {stage.hash for each in forecasts for stage in each.stages}
