"""`bench report`: tables from the records of runs."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.filters import Conditions, where_option
from bench.cli.folders import LocalPath, check_runs, folder_of
from bench.cli.numbers import inches
from bench.cli.options import plugin_option, runs_option
from bench.cli.output import Target, said_written, target_of, write, write_folder
from bench.errors import UsageError
from bench.storage import run_folder
from bench.storage.names import nearest
from bench.storage.settings import is_address

if TYPE_CHECKING:
    from bench.cli.console import Console
    from bench.extensions.registry import Registry
    from bench.reporting import Row
    from bench.reporting.folders import RunFolder
    from bench.results.records import Record

    Found = tuple[Path, Record]


@click.command("report")
@click.argument("named", nargs=-1, metavar="[RUNS]...")
@click.option("--format", "form", help="Of the report [default: by the suffix of FILE, html into a FOLDER/, or table].")
@click.option("--claims/--no-claims", default=True, show_default=True, help="Published numbers beside the measured.")
@click.option("-o", "--output", type=LocalPath(), metavar="FILE|FOLDER/", help="Write it to a file, or into a folder.")
@click.option("--over", type=click.Choice(["seed"]), help="Sets that differ in their seed alone as one row.")
@click.option("--across", type=click.Choice(["device"]), help="Rows of all machines together; costs only of one.")
@click.option("--pivot", type=click.Choice(["eval_backbone", "ipc", "dataset"]), help="Methods down, these across.")
@click.option("--width", callback=inches, metavar="WIDTH", help="Of a picture: column, page (of a paper), or inches.")
@click.option("--scores", is_flag=True, help="Gain over random images, relative accuracy, DD-Ranking's LRS and ARS.")
@where_option
@runs_option
@plugin_option
def command(
    named: tuple[str, ...],
    form: str | None,
    claims: bool,
    output: str | None,
    over: str | None,
    across: str | None,
    pivot: str | None,
    width: float | None,
    scores: bool,
    where: tuple[str, ...],
    runs: Path,
    plugins: tuple[str, ...],
) -> None:
    """Tables from the records of runs.

    RUNS are run folders, folders of runs, or names of runs below --runs; without any, all runs below --runs. A record
    that cannot be read is named on standard error and left out.

    `-o site/` makes a site: an index with the rankings, and a page a run. It opens from disk and from any host. With
    `--over seed` its rankings and figures are of means over seeds.
    """
    from bench.cli.console import Console
    from bench.extensions.registry import Registry
    from bench.reporting.folders import RunFolder, report_files
    from bench.reporting.statistics.devices import across_devices
    from bench.reporting.statistics.pooling import over_seeds
    from bench.storage.shared.mirrors import at_hand

    registry = Registry(plugins)
    target = target_of(registry, form, output)
    look = Look(pivot, scores=scores, across=across is not None, claims=claims, inches=width)
    _check(registry, target, look)  # before any work
    folders = dict[str, RunFolder]()
    with Console() as console:
        made = rows_asked_for(named, where, runs, console, folders=folders)
    if target.folder is not None:
        shown = {row["run"] for row in made}
        near = {name: RunFolder(at_hand(each.path)) for name, each in folders.items() if name in shown}
        files = report_files(registry, made, target.form, near, claims=claims, means=over is not None)
        written = write_folder(target.folder, files)
        said_written(target.folder / written[-1], f" and {len(written) - 1:,} files that it leads to")
        return
    made = across_devices(made) if across else made
    made = over_seeds(made) if over else made
    content = _content(registry, target, look, made)
    if target.file is None:
        click.echo(content, nl=False)
    else:
        write(target.file, content)
        said_written(target.file, f": {len(made):,} {'row' if len(made) == 1 else 'rows'}")


@dataclass(frozen=True)
class Look:
    """How a report is drawn, as typed."""

    pivot: str | None
    scores: bool
    across: bool
    claims: bool
    inches: float | None


def _check(registry: "Registry", target: Target, look: Look) -> None:
    """Raises UsageError: options that do not go together, or a format that has no form for them."""
    from bench.reporting import drawn, format_of
    from bench.reporting.pictures import PictureFormat

    format_, claims = format_of(registry, target.form), look.claims
    if target.folder is not None and (look.pivot or look.scores):
        raise UsageError("a folder has a page a run; --pivot and --scores make one table: name a file with -o")
    if target.folder is not None and look.across:
        raise UsageError(
            "a folder has a page a run, with what it cost; --across device makes one table: name a file with -o"
        )
    if look.pivot and look.scores:
        raise UsageError("--pivot and --scores are two tables; ask for one at a time")
    if across := look.pivot:
        drawn(registry, target.form, lambda: format_.render_pivot([], across=across))
    if look.scores:
        drawn(registry, target.form, lambda: format_.render_scores([], claims=claims))
    if look.inches is not None and not isinstance(format_, PictureFormat):
        raise UsageError(f"--width is of pictures, and {target.form!r} is none; take -o FILE.svg, FILE.pdf or FILE.png")


def _content(registry: "Registry", target: Target, look: Look, rows: "Sequence[Row]") -> str | bytes:
    from bench.reporting import drawn, format_of
    from bench.reporting.claimed import beside_claims
    from bench.reporting.pictures import PictureFormat

    format_ = format_of(registry, target.form)
    shown, claims = beside_claims(registry, rows, claims=look.claims), look.claims
    if look.scores:
        return drawn(registry, target.form, lambda: format_.render_scores(shown, claims=claims))
    if isinstance(format_, PictureFormat):
        suffix = target.file.suffix if target.file else ""
        suffix = suffix if suffix in format_.suffixes else format_.suffix
        picture = format_.picture(shown, suffix=suffix, inches=look.inches, across=look.pivot, claims=claims)
        return picture.decode() if suffix == format_.suffix else picture
    if across := look.pivot:
        return drawn(registry, target.form, lambda: format_.render_pivot(shown, across=across))
    return drawn(registry, target.form, lambda: format_.render(shown, claims=claims))


def rows_asked_for(
    named: Sequence[str],
    where: Sequence[str],
    runs: Path,
    console: "Console",
    *,
    folders: dict[str, "RunFolder"],
) -> "list[Row]":
    """The rows of runs that fit all conditions; where each run lies is noted in `folders`.

    Raises:
        UsageError: a wrong condition, no such run, or nothing that fits.
    """
    from bench.results.rows import rows

    asked = Conditions.of(where)
    every = rows(_noted(records_of(named, runs, console), folders))
    if not (made := asked.picked(every)):
        raise UsageError(asked.unfit(every))
    return made


def _noted(found: Iterable["Found"], folders: dict[str, "RunFolder"]) -> Iterator["Record"]:
    """The records; where each lies is noted. Of records of one name the last counts, as in `rows`."""
    from bench.reporting.folders import RunFolder

    for folder, record in found:
        folders[record.spec.name] = RunFolder(folder)
        yield record


def records_of(named: Sequence[str], runs: Path, console: "Console") -> Iterator["Found"]:
    """The records asked for with their folders, one at a time; one that is named twice comes twice.

    Raises:
        UsageError: nothing was asked for that exists, or there is nothing to report.
    """
    from bench.results.records import unfinished
    from bench.storage.shared.mirrors import looked_at

    if not named:
        check_runs(looked_at(runs))
    places = [_place(name, runs) for name in named] or [runs]
    found = (each for place in places for each in _in(place, console))
    first, begun = next(found, None), {each.resolve() for place in places for each in unfinished(place)}
    if first is not None:
        if begun:
            console.warn(f"left out: {_continued(begun)}")
        return chain([first], found)
    where = ", ".join(named) or runs
    if begun:
        raise UsageError(f"nothing to report in {where}: {_continued(begun)}")
    raise UsageError(f"no run with a readable record in {where}")


def _continued(begun: Collection[Path]) -> str:
    if len(begun) == 1:
        return f"{next(iter(begun)).name} is not finished; the command that began it continues it"
    return f"{len(begun)} runs are not finished; the command that began them continues them"


def _place(name: str, runs: Path) -> Path:
    """The run, or the folder of runs, that one argument means. Raises UsageError: there is none."""
    from bench.storage.shared.mirrors import looked_at

    own = looked_at(folder_of(name)) if is_address(name) else Path(name)
    folder = next((path for path in (own, looked_at(runs) / name) if path.is_dir()), None)
    if folder is None:
        raise UsageError(f"no run and no folder of runs is called {name!r}{_hint(name, runs)}")
    return folder


def _in(folder: Path, console: "Console") -> Iterable["Found"]:
    """The records of a run, or of a folder of runs."""
    from bench.results.records import read_or_warn, with_folders

    if not (folder / run_folder.SPEC).exists() and not (folder / run_folder.RECORD).exists():
        return with_folders(folder, console)
    with suppress(FileNotFoundError):
        return [(folder, record)] if (record := read_or_warn(folder, console)) else []
    return []


def _hint(name: str, runs: Path) -> str:
    match = nearest(name, [path.name for path in runs.iterdir() if path.is_dir()] if runs.is_dir() else [])
    return f"; did you mean {match!r}?" if match else f" (looked here and in {runs})"
