"""`bench run` from request to table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import torch

from bench.cli.console import Console
from bench.cli.folders import check_writable
from bench.data.opening import decoded_bytes
from bench.errors import Interrupted, LostOutput
from bench.extensions.registry import Registry
from bench.reporting import ReportFormat, Row, primary, report
from bench.reporting.units import duration, spread
from bench.results import rows as table
from bench.results.records import Record
from bench.results.spec import Job
from bench.running.context import RunContext
from bench.running.executors import Executor, Hiring, Skipped, SpreadExecutor
from bench.running.executors.side_by_side import gpus_taken
from bench.running.inventory import Inventory
from bench.running.ladders import Rung, check_one_ipc, find_ladder, laddered, requests
from bench.running.placing import Placed, place, together
from bench.running.planning import Planner
from bench.running.provenance import typed
from bench.running.request import Request, computed_on, inventory_of
from bench.storage.mirrors import looked_at
from bench.storage.owners import heartbeat
from bench.storage.settings import number_set

UNANSWERED = "its record does not answer for this evaluation"


def compare(
    request: Request, registry: Registry, runs: Path, form: str, *, retry: bool, timeout: float | None = None
) -> int:
    """Does the jobs of a request and prints their table; returns the exit status.

    Args:
        retry: does again what failed before.
        timeout: seconds after which a run is stopped.

    Raises:
        UsageError: a request that cannot be right; nothing was written.
    """
    shown = in_form(registry, form, request.ladder)  # before any work
    with Console() as console:
        done = worked(request, registry, runs, console, retry=retry, timeout=timeout)
    if done.rows:
        printed(shown(done.rows), runs)
    if done.stopped:
        return 130
    return 0 if done.whole else 1


@dataclass(frozen=True)
class Worked:
    """What came of a request.

    Attributes:
        rows: those that were asked for, as far as the jobs came; of a ladder each with its rung.
        whole: whether all of them are done.
        stopped: whether the user stopped it.
    """

    rows: list[Row]
    whole: bool
    stopped: bool


def worked(
    request: Request,
    registry: Registry,
    runs: Path,
    console: Console,
    *,
    retry: bool,
    timeout: float | None,
    command: str | None = None,
) -> Worked:
    """Does the jobs of a request.

    Args:
        command: the line that makes its runs again, for their records; None: the one of this process.

    Raises:
        UsageError: a request that cannot be right; nothing was written.
    """
    plan = planned(request, registry, runs, console, retry=retry, timeout=timeout, command=command)
    ended, stopped = carried_out(plan.executor, plan.jobs, console)
    rows = rows_of(plan.jobs, ended)
    whole = all(row["status"] == "done" for row in rows)
    return Worked(laddered(plan.placed, rows) if request.ladder and rows else rows, whole, stopped)


def in_form(registry: Registry, form: str, ladder: str | None) -> Callable[[Sequence[Row]], str]:
    """What makes a text of rows: a report, or a ladder's table. Raises UsageError: the form is unknown or has none."""
    format_: ReportFormat = registry.load("format", form)
    if ladder is None:
        return lambda rows: report(registry, rows, form, claims=True)
    format_.render_ladder([], title="", source="")
    known = find_ladder(registry, ladder)
    return lambda rows: format_.render_ladder(rows, title=known.title, source=known.source)


def carried_out(executor: Executor, jobs: Sequence[Job], console: Console) -> tuple[list[Record | Skipped], bool]:
    """How the jobs ended, as far as they came, and whether the user stopped them."""
    ended: list[Record | Skipped] = []
    try:
        for outcome in executor.run(jobs):
            ended.append(outcome)
            job = jobs[len(ended) - 1]
            took = console.end(job.spec.name)
            console.say(f"[{len(ended)}/{len(jobs)}] {_news(job, outcome)}{_gave(job, outcome, took)}")
            _warn(console, outcome)
    except Interrupted as stop:
        console.say(f"{stop}; the same command continues")
        return ended, True
    return ended, False


def printed(text: str, runs: Path) -> None:
    """Writes a result to standard output. Raises LostOutput: it cannot be written; the records are safe."""
    try:
        click.echo(text, nl=False)
    except LostOutput as error:
        raise LostOutput(f"{error}; the records are safe: bench report --runs {runs} shows them") from error


def rows_of(jobs: Sequence[Job], ended: Sequence[Record | Skipped]) -> list[Row]:
    """The rows that were asked for, out of all that the records hold: one an evaluation, by a name that was asked."""
    every = table.rows(record for record in ended if isinstance(record, Record))
    known = {(row["run"], row["protocol_id"], row["eval_backbone"]): row for row in every}
    made = []
    for job, outcome in zip(jobs, ended, strict=False):
        for first, *others in job.measurements():
            names = (first.asked, *(each.asked for each in others))
            row = known.get((job.spec.name, first.protocol_id, first.backbone), {})
            if isinstance(outcome, Skipped):
                made.append(table.blank_row(job.spec, first, "skipped", outcome.reason, *names))
            elif not set(names) <= set(row.get("asked", ())):
                made.append(table.blank_row(outcome.spec, first, "failed", UNANSWERED, *names))
            else:
                made.append(row if row["protocol"] in names else {**row, "protocol": first.asked})
    return made


@dataclass(frozen=True)
class Plan:
    """What a request comes to.

    Attributes:
        jobs: in order, each once.
        executor: who does them.
        placed: of a ladder, which jobs answer for each rung.
    """

    jobs: list[Job]
    executor: Executor
    placed: list[Placed[Rung | None]]


def planned(
    request: Request,
    registry: Registry,
    runs: Path,
    console: Console,
    *,
    retry: bool,
    timeout: float | None,
    command: str | None = None,
) -> Plan:
    """The jobs of a request, and who does them; `command` as of `worked`.

    Raises:
        UsageError: a request that cannot be right, or a folder that cannot be written to.
    """
    check_folders(runs, request.cache)
    placed = placed_of(request, registry, console, runs)
    jobs = together(placed)
    executor = executor_of(request, registry, runs, console, jobs, retry=retry, timeout=timeout, command=command)
    return Plan(jobs, executor, placed)


def placed_of(
    request: Request, registry: Registry, console: Console, runs: Path | None = None
) -> list[Placed[Rung | None]]:
    """The parts of a request with their jobs; what was chosen for the user is said.

    Args:
        runs: as of `Planner`.

    Raises:
        UsageError: a request that cannot be right.
    """
    asked = requests(find_ladder(registry, request.ladder), request) if request.ladder else [(None, request)]
    inventory, folder = inventory_of(registry, request, console), runs and runs.absolute()
    placed = [place(rung, Planner(registry, each, console, folder, inventory)) for rung, each in asked]
    check_one_ipc(placed)
    remark(console, inventory)
    return placed


def remark(console: Console, inventory: Inventory) -> None:
    """Says what was chosen for the user, each thing once."""
    for said in dict.fromkeys(inventory.remarks):
        console.say(said)


def check_folders(*folders: Path) -> None:
    """Raises UsageError: one that a run writes to cannot be written to, or a number in the environment is none."""
    for number in (checkpoint_seconds, heartbeat, decoded_bytes):
        number()
    for folder in folders:
        check_writable(folder.absolute())
        looked_at(folder)


def executor_of(
    request: Request,
    registry: Registry,
    runs: Path,
    console: Console,
    jobs: Sequence[Job],
    *,
    retry: bool,
    timeout: float | None,
    command: str | None = None,
) -> Executor:
    """Who does the jobs of a request, whose folders were checked; `command` as of `worked`."""
    roots = (runs.absolute(), request.cache.absolute(), request.data_root.absolute())
    device, _ = computed_on(request)
    context = RunContext(
        *roots,
        device,
        console,
        checkpoint_seconds=checkpoint_seconds(),
        looks=request.looks,
        command=command or typed(),
    )
    begins = partial(begin, console, [job.spec.name for job in jobs])
    hire = partial(registry.load("executor", request.executor), _hiring(request, device, console))
    return SpreadExecutor(registry, context, retry, timeout, begins, hire, request.exclusive_costs)


def _hiring(request: Request, device: torch.device, console: Console) -> Hiring:
    """What workers are asked for; that several GPUs are taken is said."""
    asked = request.device if device.type == "cuda" else str(device)  # all GPUs, or the one that auto takes
    if request.executor == "local" and not request.workers and (count := gpus_taken(asked)) > 1:
        console.say(f"--device cuda: {count} GPUs, a worker each; --device cuda:0 takes one")
    return Hiring(request.workers, asked, request.address, request.cache.absolute(), request.memory)


def begin(console: Console, names: Sequence[str], job: Job) -> None:
    """Names the run that what follows is about."""
    spec = job.spec
    place = f"[{names.index(spec.name) + 1}/{len(names)}]"
    console.begin(place, spec.name, f"{spec.method.name} {spec.dataset} ipc{spec.ipc}")


def checkpoint_seconds() -> float:
    """BENCH_CHECKPOINT_SECONDS, or 30: how far checkpoints lie apart at least."""
    return number_set("BENCH_CHECKPOINT_SECONDS", 30, "takes seconds")


def _warn(console: Console, outcome: Record | Skipped) -> None:
    """What a reader should doubt, as soon as it is known; of a set's labels it is the same in all its runs."""
    if isinstance(outcome, Record):
        of_set, rows = str(outcome.costs.notes.labels_fit), table.rows([outcome])
        for said in dict.fromkeys(each for row in rows for each in row["warnings"]):
            whom = [_evaluated(row) for row in rows if said in row["warnings"]]
            where = f" ({', '.join(whom)})" if len(whom) < len(rows) else ""
            console.warn(said if said == of_set else f"{rows[0]['run']}{where}: {said}")


def _gave(job: Job, outcome: Record | Skipped, took: float | None) -> str:
    """What a run gave by the first of its evaluations, and how long it took; nothing of what is found again or failed.

    Not the best of them: lines of several runs are read beside each other.
    """
    done = [row for row in rows_of([job], [outcome]) if row["status"] == "done"]
    if took is None or not done:
        return ""
    first = done[0]
    found = primary(first)
    said = spread(found.mean, found.std, first["eval_seeds"])
    others = f" and {len(done) - 1} more" if len(done) > 1 else ""
    return f", {found.title} {said} by {_evaluated(first)}{others}, {duration(took)}"


def _evaluated(row: Row) -> str:
    return f"{row['protocol_id']} on {row['eval_backbone']}"


def _news(job: Job, outcome: Record | Skipped) -> str:
    """How a run ended for this command, in the words of its rows: only where all of them are done is it done."""
    rows = rows_of([job], [outcome])
    without = [row for row in rows if row["status"] != "done"]
    said = dict.fromkeys(
        f"{_evaluated(row)} {row['status']}, {row['reason'] or 'no reason was recorded'}" for row in without
    )
    return f"{job.spec.name}: {'; '.join(said) or 'done'}"
