"""`bench speed`: how fast a method's step is."""

from pathlib import Path
from typing import Any

import click

from bench.cli.folders import LocalPath
from bench.cli.names import check_names
from bench.cli.options import (
    COUNT,
    MANY,
    STEPS,
    cache_folder,
    changes_option,
    device_option,
    format_option,
    plugin_option,
    precision_option,
    row_timeout_option,
)
from bench.extensions.registry import Registry


@click.command("speed")
@click.option("-m", "--method", "methods", help="Condensation method (repeatable).", **MANY)
@click.option("--backbone", "backbones", help="Condense with (repeatable).", **MANY)
@click.option("-d", "--dataset", metavar="NAME", help="Whose shape images have, or a card's path [tiny-imagenet].")
@click.option("--table", metavar="NAME", help="A named table in place of these, as sre2l-table-1.")
@click.option("--batch-size", type=COUNT, metavar="N", help="Images that a step updates [the recipe's].")
@click.option("--ipc", type=COUNT, metavar="N", default=1, show_default=True, help="Images per class.")
@click.option("--iterations", type=STEPS, metavar="N", help="Timed steps [20 on a CPU, 2 if slow; 100 on CUDA].")
@click.option("--engine", metavar="fast|reference", help="Measure this engine alone [all that the method has].")
@click.option(
    "--compile",
    type=click.Choice(["auto", "always", "never"]),
    help="Compile the steps of loops [always, where anything can be].",
)
@changes_option
@click.option("--vary", metavar="KEY=V,V,...", help="A row for each of these values of a hyper-parameter.")
@device_option
@precision_option
@row_timeout_option
@format_option
@click.option(
    "-o",
    "--output",
    type=LocalPath(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it to a file too, in the format of its suffix (as .svg: a figure).",
)
@plugin_option
def command(
    plugins: tuple[str, ...],
    form: str,
    output: Path | None,
    timeout: float | None,
    **asked: Any,  # noqa: ANN401 - the fields of Request
) -> None:
    """Measure a method's step on random data: no dataset and no trained network is needed.

    Each row has a process of its own. Beside it stand the reference engine, the floor (the network's convolutions and
    linear layers alone, on the same device) and what was published. Exit status: 0 all rows done, or not installed; 1
    some row failed; 2 wrong usage.
    """
    dataset, table = [asked["dataset"]] if asked["dataset"] else [], [asked["table"]] if asked["table"] else []
    kinds = {"speed table": table, "method": asked["methods"], "backbone": asked["backbones"], "dataset": dataset}
    registry = Registry(plugins)
    check_names(registry, format=[form], **kinds)
    from bench.cli.speed_tables import measure
    from bench.speed.planning import SpeedRequest

    raise SystemExit(measure(SpeedRequest(**asked), registry, cache_folder(), form, output, timeout=timeout))
