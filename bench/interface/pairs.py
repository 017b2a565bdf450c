"""`bench.compare` and `bench.export`: what is made of runs that are there."""

from pathlib import Path

from bench.cli.commands import compare as compare_command
from bench.cli.commands import export as export_command
from bench.cli.console import Console
from bench.interface.runs import Names, Place
from bench.interface.words import offered, understood, words_of
from bench.reporting.compared import Comparison
from bench.reporting.comparing import compared


@offered
def compare(first: Place, second: Place, *, runs: Place | None = None, quiet: bool = False) -> Comparison:
    """Two runs beside each other: `bench compare`.

    Args:
        first, second: a name below `runs`, or a run's folder.
        runs, quiet: as of `bench.run`.

    Returns:
        In what they differ (`spec`, `machine`), their `scores` with Welch's test, their `costs`; `to_json()` is what
        `--format json` prints.

    Raises:
        UsageError: no such run, or several of that name.
    """
    asked = understood(
        compare_command.command, words_of(compare_command.command, first=first, second=second, runs=runs)
    )
    with Console(quiet=quiet) as console:
        both = [compare_command.found_run(asked[name], asked["runs"], console) for name in ("first", "second")]
    return compared(*(record for _, record in both))


@offered
def export(run: Place, to: str, output: Place, *, runs: Place | None = None, plugin: Names = ()) -> Path:
    """A run's set in the form in which others keep theirs: `bench export`. What was rounded is said on standard error.

    Args:
        run: a name below `runs`, a run's folder, or its condensed/ folder.
        to: "folder", "parquet", "hf", "webdataset", "pt", "mtt", "sre2l" or "rded".
        output: a new or an empty folder.
        runs, plugin: as of `bench.run`.

    Returns:
        The folder.

    Raises:
        UsageError: no such run or form, a set that the form has no place for, or a folder that holds something.
    """
    given = {"run": run, "to": to, "output": output, "runs": runs, "plugin": plugin}
    asked = understood(export_command.command, words_of(export_command.command, **given))
    with Console() as console:
        for note in export_command.exported(**asked):
            console.warn(f"{asked['output']}: {note}")
    return Path(asked["output"])
