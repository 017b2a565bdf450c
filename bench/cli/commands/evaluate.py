"""`bench evaluate`: score a condensed set that came from anywhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.folders import set_of_run
from bench.cli.names import check_names
from bench.cli.options import COUNT, MANY, cache_folder, grid_options, seed_option, trainings_option
from bench.errors import UsageError
from bench.evaluation import PAPER
from bench.extensions.registry import Registry
from bench.storage.names import VARIANT

if TYPE_CHECKING:
    from bench.planning.request import Request
    from bench.results.spec import Origin


@click.command("evaluate")
@click.argument("folder", metavar="SET")
@click.option("-d", "--dataset", required=True, metavar="NAME", help="Dataset, or a card's path, to test on.")
@click.option("--eval-backbone", "eval_backbones", help="Train on the set (repeatable, required).", **MANY)
@click.option(
    "--backbone",
    metavar="NAME",
    help="Labels, where a protocol makes labels [default: what the set was condensed with, or the first "
    "--eval-backbone].",
)
@click.option("--protocol", "protocols", help="Evaluate by [default: the one its manifest names].", **MANY)
@click.option(
    "--ipc",
    "ipcs",
    multiple=True,
    type=COUNT,
    metavar="N",
    help="The first N images of each class (repeatable).",
)
@seed_option("the students and of the control", "the set's own, by its manifest, or 0")
@trainings_option
@click.option("--classes", metavar="N|CLASS,CLASS,...", help="The classes that the set is of [default: all].")
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
    """Score a condensed set that came from anywhere, beside random real images under the same protocol.

    SET is a run, by its name below --runs or its folder, or a folder with a manifest.json: a run's condensed/, or one
    written by hand over images, Parquet or a tensor file (see docs/concepts.md); without one, what is inferred of the
    layouts in which sets are published is said in a line. --protocol paper is the one that the manifest names, as is
    the default.
    """
    registry = Registry(plugins)
    check_names(registry, format=[form])
    request = requested(registry, runs=runs, **asked)

    if dry_run:
        from bench.cli.forecasts import foresee

        raise SystemExit(foresee(request, registry, runs, form, timeout=timeout))
    from bench.cli.grid import compare

    raise SystemExit(compare(request, registry, runs, form, retry=retry_failed, timeout=timeout))


def requested(
    registry: Registry,
    *,
    folder: str,
    dataset: str,
    backbone: str | None,
    protocols: tuple[str, ...],
    ipcs: tuple[int, ...],
    seeds: tuple[int, ...],
    runs: Path,
    quiet: bool = False,
    **asked: Any,  # noqa: ANN401 - the fields of Request, as typed
) -> "Request":
    """What was asked for: the set was read once, and what was inferred of it is said.

    Args:
        quiet: say warnings alone.

    Raises:
        UsageError: a name that nobody offers, no set, or one that does not fit what is asked.
    """
    if not asked["eval_backbones"]:
        raise UsageError("say what to train on the set: --eval-backbone NAME (bench list backbones)")
    named = {"dataset": [dataset], "protocol": protocols, "backbone": [backbone] if backbone else []}
    check_names(registry, **named, executor=[asked["executor"]])
    from bench.cli.foreign_sets import described
    from bench.interchange import importing
    from bench.planning.request import Request

    place = (asked["data_root"], cache_folder(), registry)
    there = importing.set_of(Path(folder)) if Path(folder).exists() else set_of_run(folder, runs)
    found = described(there.absolute(), dataset, asked["classes"], ipcs, *place, protocols=protocols, quiet=quiet)
    _check_labelling(registry, backbone, protocols or (found.origin.protocol,), found.origin.protocol)
    return Request(
        **asked,
        methods=("imported",),
        datasets=(dataset,),
        ipcs=found.ipcs,
        seeds=seeds or (found.seed,),
        backbones=(backbone or _condensed_with(registry, found.origin) or asked["eval_backbones"][0],),
        protocols=protocols or (found.origin.protocol,),
        changes=found.changes,
        cache=cache_folder(),
        origin=found.origin,
    )


def _check_labelling(registry: Registry, backbone: str | None, protocols: tuple[str, ...], own: str) -> None:
    """Refuses a network for labels where no protocol makes any: it would change a run's name and nothing else.

    Args:
        own: the protocol that stands for "paper".
    """
    if backbone is None:
        return
    bases = (own if base == PAPER else base for base in (name.partition(VARIANT)[0] for name in protocols))
    labels = {name: registry.load("protocol", name).labels for name in bases if registry.has("protocol", name)}
    if "teacher" in labels.values() or not labels:
        return
    told = ", ".join(
        f"{name} takes {'hard labels' if of == 'hard' else 'those of the set'}" for name, of in labels.items()
    )
    raise UsageError(f"--backbone {backbone} would label nothing: {told} (--eval-backbone names what is trained)")


def _condensed_with(registry: Registry, origin: "Origin") -> str | None:
    """The network that the manifest names, where plugins offer it: by it a run of ours labels its set."""
    return origin.backbone if origin.backbone and registry.has("backbone", origin.backbone) else None
