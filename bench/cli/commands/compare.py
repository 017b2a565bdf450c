"""`bench compare`: two runs beside each other."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.folders import LocalPath
from bench.cli.options import runs_option, table_or_json_option
from bench.cli.output import said_written, write
from bench.errors import UsageError, why
from bench.storage import run_folder

if TYPE_CHECKING:
    from bench.cli.commands.report import Found
    from bench.cli.console import Console
    from bench.reporting.compared import Comparison

PAGE, PICTURE = ".html", ".png"


@click.command("compare")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@table_or_json_option
@click.option(
    *("-o", "--output"),
    metavar="FILE.html|FILE.png",
    type=LocalPath(path_type=Path),
    help="A page with all of it, or their images side by side.",
)
@runs_option
def command(first: str, second: str, form: str, output: Path | None, runs: Path) -> None:
    """Compare two runs: what differs in what they are, in what they scored, and what they cost.

    A RUN is a name below --runs, or a run's folder. Scores of evaluations that both have are compared by Welch's test,
    with a 95 % interval of the difference (second minus first). -o FILE.html makes one page with all of it, their
    images, curves and classes beside each other; -o FILE.png draws the sheets of their images alone.
    """
    from bench.cli.console import Console
    from bench.reporting.comparing import compared

    if output is not None and output.suffix not in (PAGE, PICTURE):
        raise UsageError(f"-o takes a page, FILE.html, or a picture, FILE.png, not {output}")
    with Console() as console:
        both = [found_run(name, runs, console) for name in (first, second)]
    found = compared(*(record for _, record in both))
    if output is not None:
        _write(output, found, [folder for folder, _ in both])
    click.echo(json.dumps(found.to_json(), indent=2) if form == "json" else str(found))


def found_run(name: str, runs: Path, console: "Console") -> "Found":
    """The folder and the record of one run. Raises UsageError: there is none, or several are meant."""
    from bench.cli.commands.report import records_of

    records = list(records_of([name], runs, console))
    if len(records) > 1:
        raise UsageError(f"{name} holds {len(records)} runs; name one of them")
    return records[0]


def _write(output: Path, found: "Comparison", folders: Sequence[Path]) -> None:
    """The page or the picture of a comparison. Raises UsageError: it cannot be made or written."""
    from bench.extensions.registry import Registry
    from bench.reporting import ReportFormat
    from bench.reporting.folders import RunFolder
    from bench.storage.shared.mirrors import at_hand

    if output.suffix == PICTURE:
        _draw(output, list(zip(found.runs, folders, strict=True)))
    else:
        form: ReportFormat = Registry().load("format", "html")
        write(output, form.render_comparison(found, [RunFolder(at_hand(folder)) for folder in folders]))
    said_written(output)


def _draw(output: Path, runs: "Sequence[tuple[str, Path]]") -> None:
    """The sheets of both runs' images. Raises UsageError: one has none, or the picture cannot be written."""
    from bench.sets.contact_sheet import write_beside
    from bench.storage.shared.mirrors import at_hand

    for name, folder in runs:
        if not (at_hand(folder) / run_folder.PREVIEW).is_file():
            raise UsageError(f"{name} has no sheet of its images: there is no {folder / run_folder.PREVIEW}")
    try:
        write_beside(output, [(name, folder / run_folder.PREVIEW) for name, folder in runs])
    except OSError as error:
        raise UsageError(f"cannot draw {output}: {why(error)}") from error
