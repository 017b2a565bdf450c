"""`bench reproduce`: a published table, measured here."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bench.cli.names import check_names
from bench.cli.numbers import numbers
from bench.cli.options import (
    cache_folder,
    changes_option,
    reproducing_options,
    seed_option,
    time_option,
    trainings_option,
)
from bench.errors import UsageError
from bench.extensions.registry import Registry

OF_WORK = {  # options by the names of their parameters that say how cells are run
    **{"within": "within", "wait": "wait", "seeds": "seed", "eval_seeds": "eval-seeds", "looks": "looks"},
    **{"changes": "set", "budget": "budget", "device": "device", "precision": "precision", "compile": "compile"},
    **{"executor": "executor", "workers": "workers", "address": "address", "memory": "memory"},
    **{"exclusive_costs": "exclusive-costs", "retry_failed": "retry-failed", "timeout": "timeout"},
    **{"dry_run": "dry-run"},
}


@click.command("reproduce")
@click.argument("table", metavar="TABLE")
@click.option("--cells", default="all", metavar="N,N-N|all", show_default=True, help="Cells of the table.")
@time_option("--within", "Only those cells, in the table's order, that fit together into 90s, 30m, 2h by the forecast.")
@time_option("--wait", "So long for datasets that are still being copied; cells that have theirs are run meanwhile.")
@click.option("--recorded", is_flag=True, help="Run nothing: what the records below --runs say to these cells.")
@seed_option("the synthesis")
@trainings_option
@changes_option
@reproducing_options
def command(
    table: str,
    cells: str,
    within: float | None,
    wait: float | None,
    recorded: bool,
    runs: Path,
    plugins: tuple[str, ...],
    form: str,
    retry_failed: bool,
    timeout: float | None,
    dry_run: bool,
    **asked: Any,  # noqa: ANN401 - the fields of Request, as typed
) -> None:
    """Measure the cells of a published table, and say how each stands to its number.

    `bench list tables` names them, and `bench show TABLE` lists cells. What the cells take here is said before the
    first begins (--dry-run: that alone). Interrupted or killed, the same command continues.

    With several --seed the mean over sets counts, with the deviation over sets.

    Verdicts: "within" the published mean plus or minus both deviations and half a point, "above" or "below" it, or "not
    the same" where a budget, a change, the arithmetic, the epoch that is reported or the recipe is known to be another.
    `bench show TABLE` says of which cells that is known before.
    """
    if wait is not None and dry_run:
        raise UsageError("--dry-run waits for nothing: --wait does not go with it")
    if recorded and (idle := next((name for name in OF_WORK if _typed(name)), None)):
        raise UsageError(f"--recorded runs nothing: --{OF_WORK[idle]} does not go with it")
    registry = Registry(plugins)
    check_names(registry, format=[form], table=[table], executor=[asked["executor"]])
    chosen = None if cells == "all" else numbers(cells, "--cells")
    from bench.cli.reproducing import Reproduction
    from bench.planning.request import Request

    place: dict[str, Any] = dict.fromkeys(("methods", "datasets", "ipcs", "backbones", "eval_backbones"), ())
    request = Request(**place, protocols=(), classes=None, control=False, cache=cache_folder(), **asked)
    limits: dict[str, Any] = {"timeout": timeout, "within": within, "wait": wait or 0.0}
    work = Reproduction(request, registry, runs, form, table, chosen, retry=retry_failed, **limits)
    raise SystemExit(work.recorded() if recorded else work.foresee() if dry_run else work.measure())


def _typed(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) == ParameterSource.COMMANDLINE
