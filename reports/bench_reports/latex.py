"""Tables for a paper. They need the package booktabs."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from bench.reporting.best import MARK, is_best, is_legend, legend
from bench.reporting.columns import Columns, lines
from bench.reporting.layout import alignment, flat, in_one_unit, parts
from bench.reporting.view import RankingView
from bench.storage.streams import one_line
from bench_reports.text import TextFormat

NUMBER = r"-?[0-9.]+(?:e[+-]?[0-9]+)?"
BEST = re.compile(rf"{NUMBER}(?: ± {NUMBER})?(?: \([0-9]+\))?{re.escape(MARK)}")  # a result with its mark
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
    "†": r"\dag{}",
}


class Latex(TextFormat):
    r"""A table environment a ranking, with a \label, units in titles and the best in bold; its sources below it.

    Where a column's values lie too far apart for one unit (`layout.READABLE`), each has its own.
    """

    name = "latex"
    suffix = ".tex"

    def drawn(self, shown: Sequence[RankingView], left_out: Sequence[str] = ()) -> str:
        missing = [f"% without a result: {one_line(line)}" for line in left_out]
        made = [_environment(*each) for each in zip(map(_marked, map(in_one_unit, shown)), _labels(shown), strict=True)]
        return "\n\n".join(["% needs \\usepackage{booktabs}", *made, *missing]) + "\n"


def escaped(text: str) -> str:
    """The text with every character quoted that TeX would take for a command."""
    return "".join(SIGNS.get(character, character) for character in text)


def _labels(shown: Sequence[RankingView]) -> Iterator[str]:
    """Of each table: what it is of and its protocol, by its heading; a number tells those of one apart."""
    seen: Counter[str] = Counter()
    for view in shown:
        what, *facts = view.heading.lower().split(" · ")
        protocols = [fact.partition(",")[0] for fact in facts if "@" in fact]
        words = re.sub(r"[^a-z0-9]+", "-", " ".join([what, *protocols])).strip("-")
        seen[words] += 1
        yield f"tab:{words}" + (f"-{seen[words]}" if seen[words] > 1 else "")


def _marked(view: RankingView) -> RankingView:
    """A ranking with the mark of the best, as pivots have it, where nothing is level with it."""
    if not view.ranked_by or len(view.rows) < 2:
        return view
    groups = tuple(map(dict, view.groups))
    for group in groups:
        if view.ranked_by in group and is_best(view.rows[0], view.rows[1:]):
            first, *others = group[view.ranked_by]
            group[view.ranked_by] = [first + MARK, *others]
    return replace(view, groups=groups, notes=(legend(view.rows), *view.notes))


def _environment(view: RankingView, label: str) -> str:
    notes = [rf"\par {_legend(note) if is_legend(note) else escaped(note)}" for note in view.notes]
    ranked = any(map(is_legend, view.notes))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{escaped(view.heading)}}}",
            rf"\label{{{label}}}",
            "\n\\par\\medskip\n".join(_tabular(part, ranked) for part in parts(view, WIDTH)),
            *([r"\par\medskip\footnotesize", *notes] if notes else []),
            r"\end{table}",
        ]
    )


def _legend(note: str) -> str:
    """Of a note about the mark, which is bold type here."""
    return rf"\textbf{{bold}}{escaped(note.removeprefix(MARK))}"


def _tabular(columns: Columns, ranked: bool) -> str:
    sides = "".join(side[0] for side in alignment(columns))
    head = _line(escaped(flat(title)) for title in columns)
    texts = [_line(map(_bold if ranked else escaped, line)) for line in lines(columns)]
    body = [r"\toprule", head, r"\midrule", *texts, r"\bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{{sides}}}", *body, r"\end{tabular}"])


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _bold(cell: str) -> str:
    """A cell of results, whose mark is bold type here."""
    return rf"\textbf{{{escaped(cell.removesuffix(MARK))}}}" if BEST.fullmatch(cell) else escaped(cell)


LATEX = Latex()
