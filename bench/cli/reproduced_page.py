"""The page docs/reproduced.md: what the records of this repository say to published tables.

python -m bench.cli.reproduced_page reports/bench_reports/measured > docs/reproduced.md
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.extensions.registry import Registry
from bench.progress import Silent
from bench.reporting import ReportFormat, Row
from bench.reporting.reproduction import judged, standing
from bench.results.claims import load
from bench.results.published import cells, find_table
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


def page(registry: Registry, measured: Path) -> str:
    """The page, a section a table that has a record."""
    tables = _by_table(registry, rows(load_all(measured, Silent())))
    return "\n".join([INTRO, _summary(tables), *(_section(registry, name, told) for name, told in tables.items())])


def _summary(tables: Mapping[str, Sequence[Row]]) -> str:
    """A line a verdict: which cells have it, those of several tables once; what is stale has none any more."""
    found: dict[str, dict[str, None]] = {}
    for row in (row for told in tables.values() for row in told if row["cell"]["verdict"]):
        what = f"{row['method']} on {row['dataset']} at {row['ipc']} a class ({row['eval_backbone']})"
        found.setdefault("stale" if row["cell"]["stale"] else row["cell"]["verdict"], {})[what] = None
    return "In short:\n\n" + "".join(f"- **{verdict}**: {'; '.join(whats)}\n" for verdict, whats in found.items())


def _by_table(registry: Registry, found: list[Row]) -> dict[str, list[Row]]:
    """The rows of the cells of each table, without tables that only select from others."""
    claims = load(registry)
    tables = [table for name in registry.names("table") if not (table := find_table(registry, name)).selection]
    of = {table.name: cells(table, claims) for table in tables}
    every = [cell for each in of.values() for cell in each]
    told = {name: judged(standing(each, found, every), registry) for name, each in of.items()}
    return {name: rows for name, rows in told.items() if rows}


def _section(registry: Registry, name: str, told: list[Row]) -> str:
    form: ReportFormat = registry.load("format", "markdown")
    return f"## {name}\n\n{form.render_reproduction(told, title=find_table(registry, name).title)}"


if __name__ == "__main__":
    print(page(Registry(), Path(sys.argv[1])), end="")
