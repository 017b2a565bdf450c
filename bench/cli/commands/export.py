"""`bench export`: a run's set in the form in which others keep theirs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.folders import LocalPath, set_of_run
from bench.cli.options import plugin_option, runs_option

if TYPE_CHECKING:
    from bench.data.cards import DatasetCard
    from bench.extensions.registry import Registry


@click.command("export")
@click.argument("run", metavar="RUN")
@click.option("--to", required=True, metavar="FORM", help="folder, parquet, hf, webdataset, pt, mtt, sre2l or rded.")
@click.option("-o", "--output", required=True, metavar="DIR", type=LocalPath(path_type=Path), help="A new folder.")
@runs_option
@plugin_option
def command(run: str, to: str, output: Path, runs: Path, plugins: tuple[str, ...]) -> None:
    """Write a run's condensed set in the form in which others keep theirs.

    \b
    folder      PNG in a folder for each class
    parquet     one Parquet file in Hugging Face's columns
    hf          the same where Hugging Face's datasets look for it, with a card
    webdataset  a tar file of PNG and numbers
    pt          tensors as DC and DM save them: {'data': [[images, labels]]}
    mtt         tensors as MTT saves them: images_best.pt and labels_best.pt
    sre2l       PNG in new000/, new001/, ... as SRe2L's release lies
    rded        PNG in 00000/, 00001/, ... as RDED's release lies

    RUN is a run's name below --runs, its folder, or its condensed/ folder. A manifest and a README.md come with each,
    so that `bench evaluate DIR` gives the same score; labels that are more than classes lie beside the images, with
    their teachers. DIR is whole or is not there.
    """
    from bench.cli.console import Console

    with Console() as console:
        for note in exported(run, to, output, runs, plugins):
            console.warn(f"{output}: {note}")
    click.echo(str(output))


def exported(run: str, to: str, output: Path, runs: Path, plugins: tuple[str, ...]) -> tuple[str, ...]:
    """Writes a run's set in a form; what its user should know, a line each. Raises UsageError."""
    from bench.extensions.registry import Registry
    from bench.interchange.export import card, writing

    folder = set_of_run(run, runs)
    found = writing.read(folder, to)
    about = found.manifest.to_json()
    text = card.card_of(about, _card(Registry(plugins), about.get("dataset")), _rows(folder.parent), to)
    writing.export(found, folder, to, output, text)
    return found.notes


def _card(registry: "Registry", dataset: str | None) -> "DatasetCard | None":
    """That of the dataset, where plugins offer it."""
    from bench.data.finding import load_card

    return load_card(registry, dataset) if dataset and registry.has("dataset", dataset) else None


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Of the run's record, if there is one that can be read."""
    from contextlib import suppress

    from bench.errors import CorruptArtefact, UnreadableArtefact
    from bench.results import records
    from bench.results.rows import rows

    with suppress(FileNotFoundError, CorruptArtefact, UnreadableArtefact):
        return rows([records.read(folder)])
    return []
