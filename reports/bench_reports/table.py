"""The table for a terminal."""

import shutil
import textwrap
from collections.abc import Sequence

from bench.reporting.layout import grid, parts
from bench.reporting.view import RankingView
from bench_reports.text import TextFormat

WIDTH = 120  # where the output is no terminal and COLUMNS is not set


class Table(TextFormat):
    """Rankings under their headings; a table wider than the terminal continues below itself."""

    name = "table"
    suffix = ".txt"

    def drawn(self, shown: Sequence[RankingView], left_out: Sequence[str] = ()) -> str:
        width = shutil.get_terminal_size((WIDTH, 24)).columns
        sections = [_section(view, width) for view in shown]
        if left_out:
            sections.append("\n".join(["Without a result", *(_wrapped(line, width) for line in left_out)]))
        return "\n\n".join(sections or ["No rows."]) + "\n"


def _section(view: RankingView, width: int) -> str:
    tables = ["\n".join(grid(part)) for part in parts(view, width)]
    notes = "\n".join(_wrapped(note, width) for note in view.notes)
    heading = textwrap.fill(view.heading, width, break_long_words=False, break_on_hyphens=False)
    return "\n\n".join(filter(None, [heading, *tables, notes]))


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(
        text, width, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


TABLE = Table()
