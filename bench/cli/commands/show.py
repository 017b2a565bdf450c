"""`bench show`: all about one name or one run."""

from collections.abc import Sequence
from pathlib import Path

import click

from bench.cli.options import data_root_option, plugin_option, runs_option
from bench.data.cards import is_path
from bench.extensions.registry import Registry
from bench.storage import run_folder
from bench.storage.names import unknown
from bench.storage.shared.mirrors import at_hand, looked_at

KINDS = ("method", "backbone", "dataset", "protocol", "format", "reader", "ladder", "table", "speed table")


@click.command("show")
@click.argument("name", metavar="NAME|CARD.toml|RUN")
@data_root_option
@runs_option
@plugin_option
def command(name: str, data_root: Path, runs: Path, plugins: tuple[str, ...]) -> None:
    """Show all about a method, backbone, dataset, protocol, format, ladder, published table, speed table or run.

    A run is named by its folder's name below --runs, or by its path, and a dataset of your own by the path of its
    card. A name of several kinds shows all of them, the shortest first.
    """
    registry = Registry(plugins)
    kinds = [kind for kind in KINDS if registry.has(kind, name)]
    folder = next((each for each in (looked_at(runs) / name, Path(name)) if (each / run_folder.SPEC).is_file()), None)
    if folder is None and not kinds and not is_path(name):
        meant = next(filter(None, (registry.respelt(kind, name) for kind in KINDS)), None)
        raise unknown("name", name, _everything(registry, runs), "bench list methods, datasets, ... or runs", meant)
    pages = _pages(registry, name, kinds, data_root) if kinds or is_path(name) else []
    if folder is not None:
        from bench.cli.run_page import run

        pages.append(run(at_hand(folder)))
    click.echo("\n\n".join(sorted(pages, key=len)))


def _pages(registry: Registry, name: str, kinds: Sequence[str], data_root: Path) -> list[str]:
    """Of all but runs; they need torch, as what they show is code."""
    from bench.cli.pages import own_dataset, pages

    page_of = pages(data_root)
    found = [page_of[kind](registry, name) for kind in kinds]
    return [*found, own_dataset(registry, name, data_root)] if is_path(name) else found


def _everything(registry: Registry, runs: Path) -> set[str]:
    offered = {name for kind in KINDS for name in registry.names(kind)}
    return offered | {path.parent.name for path in runs.glob(f"*/{run_folder.SPEC}")}
