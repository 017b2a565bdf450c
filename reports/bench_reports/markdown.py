"""Pipe tables, as GitHub and most Markdown readers take them."""

import re
from collections.abc import Sequence

from tabulate import tabulate

from bench.reporting.columns import lines
from bench.reporting.layout import alignment, beside, flat
from bench.reporting.view import RankingView
from bench_reports.text import TextFormat

SPECIAL = re.compile(r"([\\`*_{}<>\[\]|#~&])")


class Markdown(TextFormat):
    """One pipe table a ranking."""

    name = "markdown"
    suffix = ".md"

    def drawn(self, shown: Sequence[RankingView], left_out: Sequence[str] = ()) -> str:
        sections = [_section(view) for view in shown]
        if left_out:
            sections.append("\n".join(["**Without a result**", "", *(f"- {escaped(line)}" for line in left_out)]))
        return "\n\n".join(sections or ["No rows."]) + "\n"


def escaped(text: str) -> str:
    """The text with every character quoted that Markdown or a table would take for markup."""
    return SPECIAL.sub(r"\\\1", text)


def _section(view: RankingView) -> str:
    notes = [f"- {escaped(note)}" for note in view.notes]
    return "\n\n".join(filter(None, [f"**{escaped(view.heading)}**", _pipes(view), "\n".join(notes)]))


def _pipes(view: RankingView) -> str:
    columns = beside(view.identity, *view.groups)
    return tabulate(
        [list(map(escaped, line)) for line in lines(columns)],
        headers=[escaped(flat(title)) for title in columns],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=alignment(columns),
    )


MARKDOWN = Markdown()
