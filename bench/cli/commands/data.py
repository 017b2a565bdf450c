"""`bench data`: fetch a dataset from its official address, or read all of it and say whether it is whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.console import Console
from bench.cli.options import cache_folder, data_root_option, plugin_option
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.storage.streams import one_line

if TYPE_CHECKING:
    from bench.data.verification import DatasetReport, SplitReport

MOST_NAMED = 20  # broken images of a split


@click.group("data")
def command() -> None:
    """Fetch and verify datasets."""


@command.command()
@click.argument("dataset", metavar="DATASET")
@data_root_option
@plugin_option
@click.option(
    "--allow-private",
    is_flag=True,
    envvar="BENCH_ALLOW_PRIVATE",
    help="Also ask hosts of this machine and of private networks, a mirror say.",
)
def fetch(dataset: str, data_root: Path, plugins: tuple[str, ...], allow_private: bool) -> None:
    """Download DATASET below the data root, from its official address.

    A download that was cut goes on where it stopped. Nothing is done where the dataset lies there already.
    """
    click.echo(_fetched(Registry(plugins), dataset, data_root, allow_private))


@command.command()
@click.argument("dataset", metavar="DATASET|CARD.toml")
@data_root_option
@plugin_option
def constants(dataset: str, data_root: Path, plugins: tuple[str, ...]) -> None:
    """Print the mean and std of DATASET's training images as lines for its card.

    Of each channel, over all pixels in [0, 1] as they are decoded. A card that has none yet says
    normalisation = "half" until then.
    """
    from bench.data.constants import measured
    from bench.data.opening import open_dataset

    with Console() as console:
        opened = open_dataset(Registry(plugins), dataset, data_root, cache_folder(), console)
        mean, std = measured(opened, console)
    click.echo(f"mean = [{', '.join(f'{each:.4f}' for each in mean)}]")
    click.echo(f"std = [{', '.join(f'{each:.4f}' for each in std)}]")


@command.command()
@click.argument("dataset", metavar="DATASET|CARD.toml")
@data_root_option
@plugin_option
def verify(dataset: str, data_root: Path, plugins: tuple[str, ...]) -> int:
    """Read all of DATASET: checksums where they are known, classes, counts, and every image decoded.

    It is whole if every class has images in both splits and all of them can be read.

    Exit status 1 if something is wrong.
    """
    from bench.data.verification import verify as read_all

    try:
        with Console() as console:
            report = read_all(Registry(plugins), dataset, data_root, console)
    except RunFailure as failure:
        click.echo(one_line(f"{dataset}: not whole: {failure}"))
        return 1
    for line in _lines(report):
        click.echo(line)
    return 0 if report.whole else 1


def _lines(report: "DatasetReport") -> Iterator[str]:
    source = report.source
    yield f"{report.name}: {'whole' if report.whole else 'not whole'}"
    yield from (f"  lacking  {one_line(line)}" for line in report.lacking)
    yield f"  layout   {source.layout}, {report.files} files, {report.checked} held against a known checksum"
    yield f"  where    {one_line(source.root)}"
    yield f"  classes  {len(source.classes)}, their order as a digest {report.class_order}"
    if report.split:
        yield f"  split    {report.split}"
    for split in report.splits:
        yield from _split_lines(split)
    yield from (f"  note     {one_line(line)}" for line in (*source.notes, *report.notes))


def _split_lines(split: "SplitReport") -> Iterator[str]:
    each = f"{split.fewest}" if split.fewest == split.most else f"{split.fewest} to {split.most}"
    yield f"  {split.name:<8} {split.images} images, {each} a class, {len(split.broken)} broken"
    yield from (f"    {one_line(reason)}" for reason in split.broken[:MOST_NAMED])
    if (more := len(split.broken) - MOST_NAMED) > 0:
        yield f"    and {more} more"


def _fetched(registry: Registry, dataset: str, data_root: Path, private: bool) -> str:
    """Fetches it if it is not there; what to tell the user."""
    from bench.data.downloads import fetch as download
    from bench.data.finding import fetchable, load_card

    card = load_card(registry, dataset)
    wanted = fetchable(registry, card)
    official = any((data_root / each.file).exists() for each in wanted)
    if not official and (there := _lying_there(registry, dataset, data_root)) is not None:
        return f"{card.name} is there already: {there}"
    if not wanted:
        raise UsageError(f"{card.name} has no official download: see {card.homepage or 'its card'}")
    with Console() as console:
        paths = [download(each, data_root, console, private=private) for each in wanted]
    return f"{card.name} is there: {', '.join(map(str, paths))}"


def _lying_there(registry: Registry, dataset: str, data_root: Path) -> Path | None:
    from bench.data.finding import find_source, load_card

    try:
        return find_source(registry, dataset, load_card(registry, dataset), data_root).source.root
    except UsageError:
        return None
