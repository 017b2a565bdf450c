"""Pipe tables, as GitHub and most Markdown readers take them."""

import re
from collections.abc import Sequence

import pandas as pd
from tabulate import tabulate

from bench.reporting import ReportFormat, Row
from bench.reporting.layout import alignment, flat, titles
from bench.reporting.view import RankingView, complaints, views
from bench_reports.reproduction import reproduction_views
from bench_reports.speed import speed_views

SPECIAL = re.compile(r"([\\`*_{}<>\[\]|#~&])")


class Markdown(ReportFormat):
    """One pipe table a ranking."""

    name = "markdown"
    suffix = ".md"

    def render(self, rows: Sequence[Row], *, claims: bool) -> str:
        sections = [_section(view) for view in views(rows, claims=claims)]
        if left_out := complaints(rows):
            sections.append("\n".join(["**Without a result**", "", *(f"- {escaped(line)}" for line in left_out)]))
        return "\n\n".join(sections or ["No rows."]) + "\n"

    def render_speed(self, rows: Sequence[Row], *, title: str) -> str:
        return "\n\n".join([_section(view) for view in speed_views(rows, title)] or ["No rows."]) + "\n"

    def render_reproduction(self, rows: Sequence[Row], *, title: str) -> str:
        return "\n\n".join([_section(view) for view in reproduction_views(rows, title)] or ["No cells."]) + "\n"


def escaped(text: str) -> str:
    """The text with every character quoted that Markdown or a table would take for markup."""
    return SPECIAL.sub(r"\\\1", text)


def _section(view: RankingView) -> str:
    notes = [f"- {escaped(note)}" for note in view.notes]
    return "\n\n".join(filter(None, [f"**{escaped(view.heading)}**", _pipes(view), "\n".join(notes)]))


def _pipes(view: RankingView) -> str:
    frame = pd.concat([view.identity, *view.groups], axis="columns")
    return tabulate(
        frame.map(escaped).to_numpy().tolist(),
        headers=[escaped(flat(title)) for title in titles(frame)],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=alignment(frame),
    )


MARKDOWN = Markdown()
