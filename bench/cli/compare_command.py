"""`bench compare`: two runs beside each other."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import runs_option, table_or_json_option
from bench.errors import UsageError, why

if TYPE_CHECKING:
    from bench.cli.console import Console
    from bench.cli.report_command import Found
    from bench.reporting.comparing import Comparison, Differing, Scored

WIDEST = 44  # characters of a value in a table
NOTE = "p: Welch's test over the trainings of each set; level: above 0.05. It says nothing of other seeds of synthesis."
APART = "The two do not stand in one ranking: what differs beside the method decides scores, too."


@click.command("compare")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@table_or_json_option
@click.option("-o", "--output", metavar="FILE.png", type=click.Path(path_type=Path), help="Their images side by side.")
@runs_option
def command(first: str, second: str, form: str, output: Path | None, runs: Path) -> None:
    """Compare two runs: what differs in what they are, in what they scored, and what they cost.

    A RUN is a name below --runs, or a run's folder. Scores of evaluations that both have are compared by Welch's test,
    with a 95 % interval of the difference (second minus first). -o FILE.png draws sheets of their images beside each
    other.
    """
    from bench.cli.console import Console
    from bench.reporting.comparing import compared

    if output is not None and output.suffix != ".png":
        raise UsageError(f"-o takes a picture, FILE.png, not {output}")
    with Console() as console:
        both = [found_run(name, runs, console) for name in (first, second)]
    if output is not None:
        _draw(output, [(record.spec.name, folder) for folder, record in both])
    found = compared(*(record for _, record in both))
    click.echo(json.dumps(found.to_json(), indent=2) if form == "json" else _table(found))


def found_run(name: str, runs: Path, console: "Console") -> "Found":
    """The folder and the record of one run. Raises UsageError: there is none, or several are meant."""
    from bench.cli.report_command import records_of

    records = list(records_of([name], runs, console))
    if len(records) > 1:
        raise UsageError(f"{name} holds {len(records)} runs; name one of them")
    return records[0]


def _draw(output: Path, runs: "Sequence[tuple[str, Path]]") -> None:
    """The sheets of both runs' images. Raises UsageError: one has none, or the picture cannot be written."""
    from bench.sets.contact_sheet import PREVIEW, write_beside
    from bench.storage.mirrors import at_hand

    for name, folder in runs:
        if not (at_hand(folder) / PREVIEW).is_file():
            raise UsageError(f"{name} has no sheet of its images: there is no {folder / PREVIEW}")
    try:
        write_beside(output, [(name, folder / PREVIEW) for name, folder in runs])
    except OSError as error:
        raise UsageError(f"cannot draw {output}: {why(error)}") from error


def _table(found: "Comparison") -> str:
    first, second = found.runs
    parts = [f"first   {first}\nsecond  {second}"]
    parts += [_differing("spec", found.spec), _differing("machine and versions", found.machine)]
    parts += [_scores(found), _costs(found)]
    return "\n\n".join(parts)


def _differing(what: str, found: "Sequence[Differing]") -> str:
    if not found:
        return f"{what}: no difference"
    return _drawn([what, "first", "second"], [[each.key, _text(each.first), _text(each.second)] for each in found])


def _scores(found: "Comparison") -> str:
    if not found.scores:
        return "\n".join(["scores: no evaluation in common", *found.alone])
    head = ["scores", "metric", "first", "second", "difference", "95 % interval", "p", "better"]
    reasons = list(dict.fromkeys(reason for each in found.scores for reason in each.reasons))
    apart = [APART] if any(not each.together for each in found.scores if each.difference) else []
    notes = [NOTE, *apart, *reasons, *found.alone]
    return "\n".join([_drawn(head, [list(_score(each)) for each in found.scores]), "", *notes])


def _score(each: "Scored") -> Iterator[str]:
    from bench.reporting.units import UNKNOWN, spread

    found = each.difference
    yield f"{each.protocol_id} on {each.eval_backbone}"
    yield each.first.title
    for side in (each.first, each.second):
        yield spread(side.mean, side.std, len(side.values)) or UNKNOWN
    yield UNKNOWN if found is None else f"{found.value:+.2f}"
    yield UNKNOWN if found is None or found.interval is None else "{:+.2f} to {:+.2f}".format(*found.interval)
    yield UNKNOWN if found is None or found.p is None else f"{found.p:.2g}"
    yield each.better or UNKNOWN


def _costs(found: "Comparison") -> str:
    from bench.reporting.units import UNKNOWN

    ratios = [UNKNOWN if each.ratio is None else f"{each.ratio:.2f}" for each in found.costs]
    shown = [(each.name, each.first or UNKNOWN, each.second or UNKNOWN) for each in found.costs]
    lines = [[*cells, ratio] for cells, ratio in zip(shown, ratios, strict=True)]
    return _drawn(["costs", "first", "second", "second/first"], lines) if lines else "costs: none known"


def _drawn(head: list[str], lines: list[list[str]]) -> str:
    from tabulate import tabulate

    return tabulate(lines, head, disable_numparse=True)


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """In one line, shortened."""
    from bench.reporting.units import UNKNOWN
    from bench.storage.streams import one_line

    if value is None:
        return UNKNOWN
    text = one_line(value if isinstance(value, str) else json.dumps(value))
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."
