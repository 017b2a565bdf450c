"""`bench run`: condense, evaluate, measure and compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.names import check_names
from bench.cli.options import COUNT, MANY, SEED, cache_folder, changes_option, grid_options, trainings_option
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.running.planning import Request


@click.command("run")
@click.option("-m", "--method", "methods", help="Condensation method (repeatable), or all.", **MANY)
@click.option("--ladder", metavar="NAME", help="In place of methods: configurations, each one change further.")
@click.option("-d", "--dataset", "datasets", required=True, help="Dataset, or a card's path (repeatable).", **MANY)
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
    **MANY,
)
@click.option("--eval-backbone", "eval_backbones", help="Train on the set [default: the backbone].", **MANY)
@click.option("--protocol", "protocols", default=("paper",), show_default="paper", help="Evaluate by.", **MANY)
@click.option("--seed", "seeds", multiple=True, type=SEED, default=(0,), show_default="0", help="Of the synthesis.")
@trainings_option
@click.option("--classes", metavar="N|CLASS,CLASS,...", help="The first N classes, or those of these ids or words.")
@changes_option
@grid_options
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
    check_names(plugins, format=[form])
    request = requested(plugins, **asked)
    from bench.cli.forecasts import foresee
    from bench.cli.grid import compare

    if dry_run:
        raise SystemExit(foresee(request, plugins, runs, form, timeout=timeout))
    raise SystemExit(compare(request, plugins, runs, form, retry=retry_failed, timeout=timeout))


def requested(plugins: tuple[str, ...], *, ladder: str | None, **asked: Any) -> "Request":  # noqa: ANN401 - as above
    """What was asked for, its names looked up before torch is imported.

    Raises:
        UsageError: a name that nobody offers, or options that do not go together.
    """
    if asked["methods"] and ladder:
        raise UsageError("the rungs of a ladder have methods of their own: --method does not go with --ladder")
    if not asked["methods"] and not ladder:
        raise UsageError("say what to run: --method NAME (repeatable), or --ladder NAME")
    if ladder and asked["protocols"] != ("paper",):
        raise UsageError("the rungs of a ladder have protocols of their own: --protocol does not go with --ladder")
    ladders, methods = [ladder] if ladder else [], asked["methods"]
    named = {"method": methods, "ladder": ladders, "dataset": asked["datasets"], "protocol": asked["protocols"]}
    check_names(plugins, **named)
    from bench.running.planning import Request

    return Request(**asked, ladder=ladder, cache=cache_folder())
