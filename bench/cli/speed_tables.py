"""`bench speed` from request to table."""

from collections.abc import Sequence
from pathlib import Path

import click

from bench.cli.console import Console
from bench.cli.folders import check_writable
from bench.cli.output import form_of, said_written, write
from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.reporting import Row, drawn, format_of
from bench.results import claims
from bench.running.environment import arithmetic
from bench.speed.planning import Planned, SpeedPlanner, SpeedRequest
from bench.speed.rows import RowResult, rows
from bench.speed.session import Session
from bench.speed.tables import SpeedTable

TITLE = "Speed of a step"


def measure(
    request: SpeedRequest,
    registry: Registry,
    cache: Path,
    form: str,
    output: Path | None = None,
    *,
    timeout: float | None = None,
) -> int:
    """Measures what is asked for and prints the table; returns the exit status.

    Args:
        output: a file that the rows are written to as well, in the format of its suffix.
        timeout: seconds after which the process of a row, or of a floor, is stopped.

    Raises:
        UsageError: a request that cannot be right; nothing was measured.
    """
    forms = [form]
    if output:
        forms.append(form_of(registry, output))
        check_writable(output.absolute().parent)
    for each in forms:
        _drawn(registry, each, [], TITLE)  # refuses before any work
    planner, published = SpeedPlanner(registry, request), claims.load(registry)
    planned = planner.rows()
    check_writable(cache.absolute())
    with Console() as console:
        session = Session(registry, planner.device, cache.absolute(), console, timeout)
        ended, stopped = _ended(session, planned, console)
    if ended:
        table = planner.table
        where = arithmetic(planner.device, planner.precision)
        found = rows(ended, where, published, table.name if table else None, table.source if table else None)
        texts = [_drawn(registry, each, found, _title(table)) for each in forms]
        click.echo(texts[0], nl=False)
        if output:
            write(output, texts[1])
            said_written(output)
    if stopped:
        return 130
    return 1 if any(each.status == "failed" for each in ended) else 0


def _drawn(registry: Registry, form: str, found: Sequence[Row], title: str) -> str:
    format_ = format_of(registry, form)
    return drawn(registry, form, lambda: format_.render_speed(found, title=title))


def _ended(session: Session, planned: Sequence[Planned], console: Console) -> tuple[list[RowResult], bool]:
    """How each row ended, and whether the user stopped before the last."""
    ended: list[RowResult] = []
    try:
        for outcome in session.run(planned):
            ended.append(outcome)
            console.say(f"[{len(ended)}/{len(planned)}] {_news(outcome)}")
    except Interrupted:
        console.say(f"stopped after {len(ended)} of {len(planned)} rows")
        return ended, True
    if any(outcome.status == "failed" for outcome in ended):
        console.warn(f"what failed rows said is in {session.log}")
    return ended, False


def _news(outcome: RowResult) -> str:
    planned = outcome.planned
    what = " ".join(filter(None, [planned.method, planned.backbone, planned.engine]))
    return f"{what}: {outcome.reason or outcome.status}"


def _title(table: SpeedTable | None) -> str:
    return f"{TITLE}: {table.title}" if table else TITLE
