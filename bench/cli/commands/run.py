"""`bench run`: condense, evaluate, measure and compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.folders import LocalPath
from bench.cli.names import check_names
from bench.cli.options import COUNT, MANY, cache_folder, changes_option, grid_options, seed_option, trainings_option
from bench.errors import UsageError
from bench.extensions.registry import Registry

if TYPE_CHECKING:
    from bench.planning.request import Request


@click.command("run")
@click.option("-m", "--method", "methods", help='Method (repeatable), or "all" that condense.', **MANY)
@click.option(
    "--ladder",
    metavar="NAME",
    help="In place of methods: configurations, each one change further (bench list ladders).",
)
@click.option("-d", "--dataset", "datasets", required=True, help="Dataset, or a card's path (repeatable).", **MANY)
@click.option(
    "--ipc",
    "ipcs",
    multiple=True,
    type=COUNT,
    metavar="N",
    help="Images per class (repeatable) [default: the papers' own, else 10].",
)
@click.option(
    "--backbone",
    "backbones",
    default=("resnet18",),
    show_default=True,
    help="Condense with (repeatable); METHOD=NAME for one method, TRAIT=NAME for those that need it (batchnorm).",
    **MANY,
)
@click.option(
    "--eval-backbone",
    "eval_backbones",
    help="Train on the set (repeatable) [default: as the protocol says, or the backbone].",
    **MANY,
)
@click.option(
    "--protocol",
    "protocols",
    default=("paper",),
    show_default=True,
    help="Evaluate by (repeatable).",
    **MANY,
)
@seed_option("the synthesis")
@trainings_option
@click.option("--classes", metavar="N|CLASS,CLASS,...", help="The first N classes, or those of these ids or words.")
@changes_option
@grid_options
@click.option("--plan-only", is_flag=True, help="Write the runs as a plan for bench work, and do none.")
@click.option("-o", "--output", type=LocalPath(), metavar="FILE", help="Of --plan-only [default: standard output].")
@click.option("--machine", metavar="GPU", help="Plan for this GPU, by the name that bench doctor says of it there.")
def command(
    runs: Path,
    plugins: tuple[str, ...],
    form: str,
    retry_failed: bool,
    timeout: float | None,
    dry_run: bool,
    plan_only: bool,
    output: str | None,
    **asked: Any,  # noqa: ANN401 - the fields of Request, as typed
) -> None:
    """Condense, evaluate, measure and compare: the grid of what you name.

    Interrupted or killed, the same command continues. Exit status: 0 all rows done, 1 some row failed, 2 wrong usage.
    """
    registry = Registry(plugins)
    check_names(registry, format=[form])
    if plan_only and dry_run:
        raise UsageError("--plan-only and --dry-run are two ways to do no run; choose one")
    if output is not None and not plan_only:
        raise UsageError("--output goes with --plan-only (bench report -o writes tables)")
    request = requested(registry, **asked, elsewhere=plan_only)
    if plan_only:
        from bench.cli.plans import plan

        return plan(request, registry, output)
    if dry_run:
        from bench.cli.forecasts import foresee

        raise SystemExit(foresee(request, registry, runs, form, timeout=timeout))
    from bench.cli.grid import compare

    raise SystemExit(compare(request, registry, runs, form, retry=retry_failed, timeout=timeout))


def requested(registry: Registry, *, ladder: str | None, **asked: Any) -> "Request":  # noqa: ANN401 - as above
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
    named["executor"] = [asked["executor"]]
    check_names(registry, **named)
    from bench.planning.request import Request

    return Request(**asked, ladder=ladder, cache=cache_folder())
