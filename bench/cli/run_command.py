"""`bench run`: condense, evaluate, measure and compare."""

from pathlib import Path
from typing import Any

import click

from bench.cli.names import check_names
from bench.cli.options import (
    COUNT,
    SEED,
    TRAININGS,
    cache_folder,
    compile_option,
    data_root_option,
    plugin_option,
    precision_option,
    runs_option,
    timeout_option,
)

_many: dict[str, Any] = {"multiple": True, "metavar": "NAME"}


@click.command("run")
@click.option("-m", "--method", "methods", required=True, help="Condensation method (repeatable), or all.", **_many)
@click.option("-d", "--dataset", "datasets", required=True, help="Dataset, or a card's path (repeatable).", **_many)
@click.option(
    "--ipc",
    "ipcs",
    multiple=True,
    type=COUNT,
    help="Images per class [default: the papers' own, else 10].",
)
@click.option(
    "--backbone",
    "backbones",
    default=("resnet18",),
    show_default="resnet18",
    help="Condense with; METHOD=NAME for one method.",
    **_many,
)
@click.option("--eval-backbone", "eval_backbones", help="Train on the set [default: the backbone].", **_many)
@click.option("--protocol", "protocols", default=("paper",), show_default="paper", help="Evaluate by.", **_many)
@click.option("--seed", "seeds", multiple=True, type=SEED, default=(0,), show_default="0", help="Of the synthesis.")
@click.option(
    "--eval-seeds",
    type=TRAININGS,
    default=3,
    show_default=True,
    help="Trainings an evaluation.",
)
@click.option("--classes", metavar="N|CLASS,CLASS,...", help="The first N classes, or those of these ids or words.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a hyper-parameter (repeatable); METHOD:KEY=VALUE for one method.",
)
@click.option("--budget", type=click.Choice(["paper", "quick"]), default="paper", show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@precision_option
@compile_option
@data_root_option
@runs_option
@click.option("--control/--no-control", default=True, show_default=True, help="Random real images beside each method.")
@click.option("--retry-failed", is_flag=True, help="Do again what failed before.")
@timeout_option
@click.option("--dry-run", is_flag=True, help="A few real iterations, and what the run would take.")
@click.option("--format", "form", default="table", show_default=True, help="Of the result on standard output.")
@plugin_option
def command(
    runs: Path,
    plugins: tuple[str, ...],
    form: str,
    retry_failed: bool,
    timeout: float | None,
    dry_run: bool,
    **asked: Any,  # noqa: ANN401 - the fields of Request, as typed
) -> None:
    """Condense, evaluate, measure and compare: the grid of what you name.

    Interrupted or killed, the same command continues. Exit status: 0 all rows done, 1 some row failed, 2 wrong usage.
    """
    check_names(plugins, format=[form], method=asked["methods"], dataset=asked["datasets"], protocol=asked["protocols"])
    from bench.cli.forecasts import foresee
    from bench.cli.grid import compare
    from bench.running.planning import Request

    request = Request(**asked, cache=cache_folder())
    if dry_run:
        raise SystemExit(foresee(request, plugins, runs, form, timeout=timeout))
    raise SystemExit(compare(request, plugins, runs, form, retry=retry_failed, timeout=timeout))
