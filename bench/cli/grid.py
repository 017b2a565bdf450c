"""`bench run` from request to table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import torch

from bench.cli.console import Console
from bench.cli.folders import check_writable
from bench.cli.outcomes import carried_out, rows_of
from bench.data.opening import decoded_bytes
from bench.errors import LostOutput, UsageError
from bench.extensions.registry import Registry
from bench.planning.inventory import Inventory
from bench.planning.ladders import Rung, check_one_ipc, find_ladder, laddered, requests
from bench.planning.placing import Placed, place, together
from bench.planning.planner import Planner
from bench.planning.request import Request, computed_on, inventory_of
from bench.reporting import Row, drawn, format_of, report, reporter
from bench.results.spec import Job
from bench.running.context import RunContext
from bench.running.executors import Executor, Hiring, SpreadExecutor
from bench.running.executors.side_by_side import gpus_taken
from bench.running.provenance import typed
from bench.storage.settings import number_set
from bench.storage.shared.mirrors import looked_at
from bench.storage.shared.owners import heartbeat

Draw = Callable[[Sequence[Row]], str]
TABLE = "table"  # the form that is fallen back on


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
        done = run_grid(request, registry, runs, console, retry=retry, timeout=timeout)
    if done.rows:
        printed(shown(done.rows), runs)
    if done.stopped:
        return 130
    return 0 if done.whole else 1


@dataclass(frozen=True)
class GridResult:
    """What came of a request.

    Attributes:
        rows: those that were asked for, as far as the jobs came; of a ladder each with its rung.
        whole: whether all of them are done.
        stopped: whether the user stopped it.
    """

    rows: list[Row]
    whole: bool
    stopped: bool


def run_grid(
    request: Request,
    registry: Registry,
    runs: Path,
    console: Console,
    *,
    retry: bool,
    timeout: float | None,
    command: str | None = None,
) -> GridResult:
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
    return GridResult(laddered(plan.placed, rows) if request.ladder and rows else rows, whole, stopped)


def in_form(registry: Registry, form: str, ladder: str | None) -> Draw:
    """What makes a text of rows: a report, or a ladder's table.

    Raises:
        UsageError: the form is unknown or has none, or claims that cannot be read.
    """
    if ladder is None:
        draw, plainly = reporter(registry, form, claims=True), partial(_report_in_table, registry)
    else:
        draw, plainly = _ladder_in(registry, form, ladder), partial(_ladder_in_table, registry, ladder)
    return _or_a_table(registry, form, draw, plainly)


def _report_in_table(registry: Registry, rows: Sequence[Row]) -> str:
    return report(registry, rows, TABLE, claims=True)


def _ladder_in(registry: Registry, form: str, ladder: str) -> Draw:
    format_ = format_of(registry, form)
    drawn(registry, form, lambda: format_.render_ladder([], title="", source=""))
    known = find_ladder(registry, ladder)
    return lambda rows: drawn(
        registry, form, lambda: format_.render_ladder(rows, title=known.title, source=known.source)
    )


def _ladder_in_table(registry: Registry, ladder: str, rows: Sequence[Row]) -> str:
    return _ladder_in(registry, TABLE, ladder)(rows)


def _or_a_table(registry: Registry, form: str, draw: Draw, plainly: Draw) -> Draw:
    """What draws a report after the work: where the plugin of its format fails, in the usual form, with a line."""

    def kept(rows: Sequence[Row]) -> str:
        try:
            return draw(rows)
        except UsageError as error:
            if not registry.find("format", form).foreign:
                raise
            click.echo(
                f"warning: {error}; the runs are kept (bench report shows them), and this is their table", err=True
            )
            return plainly(rows)

    return kept


def printed(text: str, runs: Path) -> None:
    """Writes a result to standard output. Raises LostOutput: it cannot be written; the records are safe."""
    try:
        click.echo(text, nl=False)
    except LostOutput as error:
        raise LostOutput(f"{error}; the records are safe: bench report --runs {runs} shows them") from error


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
    """The jobs of a request, and who does them; `command` as of `run_grid`.

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
    """Who does the jobs of a request, whose folders were checked; `command` as of `run_grid`."""
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
