"""The page docs/reproduced.md: what the records of this repository say to published tables.

python -m bench.cli.reproduced_page reports/bench_reports/measured > docs/reproduced.md
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click
from tabulate import tabulate

from bench.cli import main
from bench.cli.console import Console
from bench.cli.folders import check_runs
from bench.cli.options import plugin_option
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.progress import Progress
from bench.reporting import ReportFormat, Row, metric
from bench.reporting.reproduction import judged, standing
from bench.reporting.units import claimed, result, spread
from bench.results.claims import load
from bench.results.published import Cell, cells, find_table
from bench.results.records import load_all
from bench.results.rows import rows

INTRO = """\
# Reproduced

Cells of published tables that were run by this project. The records are in
[reports/bench_reports/measured](../reports/bench_reports/measured/README.md), with the command, the machine and all
versions of each, and what is known about those that miss. `bench reproduce TABLE --cells N` makes a row again
([how](measuring.md#published-tables)), and `bench reproduce TABLE --recorded --runs reports/bench_reports/measured`
shows one table with the cells that are missing. Times are upper bounds: on processors the runs shared their cores
with other work, and some were suspended for a while.

This page is made from the records: `python -m bench.cli.reproduced_page reports/bench_reports/measured`. A record of
an older version of its method or protocol is shown as stale.
"""

SUMMED_UP = (
    *("verdict", "method", "dataset", "ipc", "network", "protocol"),
    *("published", "measured (trainings)", "difference", "why"),
)
ORDER = ("within", "above", "below", "not the same", "stale")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(path_type=Path))
@plugin_option
def command(folder: Path, plugins: tuple[str, ...]) -> None:
    """Print docs/reproduced.md from a folder of records, and name those that answer no cell."""
    check_runs(folder)
    with Console() as console:
        told = page(Registry(plugins), folder, console)
    click.echo(told, nl=False)


def page(registry: Registry, measured: Path, progress: Progress) -> str:
    """The page, a section a table that has a record; records that answer no cell are warned about.

    Raises:
        UsageError: there is no record.
    """
    found = rows(load_all(measured, progress))
    if not found:
        raise UsageError(f"no record lies below {measured}")
    of = _cells_by_table(registry)
    every = [cell for each in of.values() for cell in each]
    if strays := _answering_none(found, every):
        progress.warn(f"on no page, because they answer no cell of a published table: {', '.join(strays)}")
    told = {name: judged(standing(each, found, every), registry) for name, each in of.items()}
    tables = {name: rows for name, rows in told.items() if rows}
    return "\n".join([INTRO, _summary(tables), *(_section(registry, name, told) for name, told in tables.items())])


def _summary(tables: Mapping[str, Sequence[Row]]) -> str:
    """A line a cell, those of several tables once, ordered by their verdicts; what is stale has none any more."""
    found: dict[tuple[str, ...], str] = {}
    for row in (row for told in tables.values() for row in told if row["cell"]["verdict"]):
        cell, measured = row["cell"], metric(row, row["cell"]["score"])
        verdict, why = ("stale", cell["stale"]) if cell["stale"] else (cell["verdict"], cell["reasons"])
        what = (row["method"], row["dataset"], str(row["ipc"]), row["eval_backbone"], row["protocol"])
        sets = row.get("sets")
        given = spread(measured.mean, measured.std, sets or len(measured.values), measured.unit)
        numbers = (
            claimed(cell["value"], cell["std"], cell["decimals"]),
            f"{given} sets" if sets else str(given),
            result(cell["difference"], measured.unit, sign="+"),
        )
        found.setdefault((*what, *numbers, "; ".join(why)), verdict)
    lines = [(verdict, *said) for said, verdict in sorted(found.items(), key=lambda line: ORDER.index(line[1]))]
    return tabulate(lines, SUMMED_UP, tablefmt="pipe", disable_numparse=True) + "\n"


def _cells_by_table(registry: Registry) -> dict[str, list[Cell]]:
    """The cells of each table, without tables that only select from others."""
    claims = load(registry)
    tables = [table for name in registry.names("table") if not (table := find_table(registry, name)).selection]
    return {table.name: cells(table, claims) for table in tables}


def _answering_none(found: Iterable[Row], every: Sequence[Cell]) -> list[str]:
    """The runs of which no row has the place of a cell."""
    answers: dict[str, bool] = {}
    for row in found:
        answers[row["run"]] = answers.get(row["run"], False) or any(cell.approached_by(row) for cell in every)
    return [run for run, some in answers.items() if not some]


def _section(registry: Registry, name: str, told: list[Row]) -> str:
    form: ReportFormat = registry.load("format", "markdown")
    return f"## {name}\n\n{form.render_reproduction(told, title=find_table(registry, name).title)}"


if __name__ == "__main__":
    main(command)
