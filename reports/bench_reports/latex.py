"""Tables for a paper. They need the package booktabs."""

from collections.abc import Sequence

import pandas as pd

from bench.reporting.layout import alignment, flat, parts, titles
from bench.reporting.view import RankingView
from bench.storage.streams import one_line
from bench_reports.text import TextFormat

WIDTH = 100  # characters of a small table across a page with one column of text
SIGNS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # at the start of a line \\ would take it for its optional argument
    "]": "{]}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "–": "--",
}


class Latex(TextFormat):
    """A table environment a ranking, its sources below it."""

    name = "latex"
    suffix = ".tex"

    def drawn(self, shown: Sequence[RankingView], left_out: Sequence[str] = ()) -> str:
        missing = [f"% without a result: {one_line(line)}" for line in left_out]
        return "\n\n".join(["% needs \\usepackage{booktabs}", *map(_environment, shown), *missing]) + "\n"


def escaped(text: str) -> str:
    """The text with every character quoted that TeX would take for a command."""
    return "".join(SIGNS.get(character, character) for character in text)


def _environment(view: RankingView) -> str:
    tabulars = [_tabular(part) for part in parts(view, WIDTH)]
    notes = [rf"\par {escaped(note)}" for note in view.notes]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{escaped(view.heading)}}}",
            "\n\\par\\medskip\n".join(tabulars),
            *([r"\par\medskip\footnotesize", *notes] if notes else []),
            r"\end{table}",
        ]
    )


def _tabular(frame: pd.DataFrame) -> str:
    columns = "".join(side[0] for side in alignment(frame))
    head = [escaped(flat(title)) for title in titles(frame)]
    lines = [" & ".join(cells) + r" \\" for cells in (head, *frame.map(escaped).to_numpy().tolist())]
    body = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"])


LATEX = Latex()
