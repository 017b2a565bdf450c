"""Tables for a paper. They need the package booktabs, and long ones longtable."""

import re
from collections.abc import Iterable, Iterator, Sequence

from bench.reporting.columns import Columns, lines
from bench.reporting.layout import alignment, in_one_unit, parts
from bench.reporting.statistics.best import MARK, told_as
from bench.reporting.view import RankingView
from bench.storage.streams import one_line
from bench_reports.text import TextFormat

NUMBER = r"-?[0-9.]+(?:e[+-]?[0-9]+)?"
BEST = re.compile(rf"{NUMBER}(?: ± {NUMBER})?(?: \([0-9]+\))?{re.escape(MARK)}")  # a result with its mark
WIDTH = 68  # characters of a small table across a page with one column of text: 345 points at 10
LINES, LINE = 40, 100  # of a page, that a float may have; characters of a line of notes
HYPHENS = re.compile("-(?=-)")  # two of them would be a dash
FOREIGN = re.compile("[^\x00-\u017f–—‘’“”†‡•…‰€™]+")  # what pdfTeX has no letters for
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

    Where a column's values lie too far apart for one unit (`layout.READABLE`), each has its own. What is more than
    `LINES` lines, which no float holds, is a longtable: it goes over pages, with its sources after it.
    """

    name = "latex"
    suffix = ".tex"

    def drawn(self, shown: Sequence[RankingView], left_out: Sequence[str] = ()) -> str:
        missing = [f"% without a result: {one_line(line)}" for line in left_out]
        made = [_environment(view, label) for view, label in zip(map(in_one_unit, shown), _labels(shown), strict=True)]
        packages = ["booktabs", *(["longtable"] if any(r"\begin{longtable}" in each for each in made) else [])]
        return "\n\n".join([f"% needs \\usepackage{{{','.join(packages)}}}", *made, *missing]) + "\n"


def escaped(text: str) -> str:
    """The text with every character quoted that TeX would take for a command.

    Letters that pdfTeX has not are shown by their numbers there, and as they are by XeTeX and LuaTeX.
    """
    signs = ("".join(SIGNS.get(character, character) for character in part) for part in HYPHENS.split(text))
    return FOREIGN.sub(_foreign, "-{}".join(signs))


def _foreign(found: re.Match[str]) -> str:
    numbers = " ".join(f"U+{ord(character):04X}" for character in found[0])
    return rf"{{\ifdefined\Umathcode {found[0]}\else {numbers}\fi}}"


def _labels(shown: Sequence[RankingView]) -> Iterator[str]:
    """Of each table: its name, or of the one table that has none its title."""
    for view in shown:
        title = re.sub(r"[^a-z0-9]+", "-", view.heading.lower().partition(" · ")[0]).strip("-")
        yield f"tab:{view.name or title}"


def _environment(view: RankingView, label: str) -> str:
    pieces = parts(view, WIDTH)
    notes = [rf"\par {_note(note)}" for note in view.notes]
    small_print = [r"\par\medskip\footnotesize\raggedright", *notes] if notes else []
    about = [rf"\caption{{{escaped(view.heading)}}}", rf"\label{{{label}}}"]
    lines = len(pieces) * (len(view.rows) + 5) + sum(1 + len(note) // LINE for note in view.notes)
    if lines > LINES:
        return "\n".join([*_over_pages(pieces, about), "{", *small_print, r"\par}"])
    tables = "\n\\par\\medskip\n".join(map(_tabular, pieces))
    return "\n".join([r"\begin{table}", r"\centering\small", *about, tables, *small_print, r"\end{table}"])


def _note(note: str) -> str:
    """A note; the mark that one may be about is bold type here."""
    about_mark = told_as(note, "")
    return escaped(note) if about_mark is None else rf"\textbf{{bold}}{escaped(about_mark)}"


def _over_pages(pieces: Sequence[Columns], about: Sequence[str]) -> Iterator[str]:
    """Tables below each other that go on over pages, of which the first has the caption."""
    yield r"{\small"
    for place, columns in enumerate(pieces):
        yield from [] if place == 0 else [r"\addtocounter{table}{-1}"]
        yield rf"\begin{{longtable}}{{{_sides(columns)}}}"
        yield from [*about, r"\\"] if place == 0 else []
        yield from [r"\toprule", _head(columns), r"\midrule", r"\endhead", r"\bottomrule", r"\endlastfoot"]
        yield from _body(columns)
        yield r"\end{longtable}"
    yield "}"


def _tabular(columns: Columns) -> str:
    body = [r"\toprule", _head(columns), r"\midrule", *_body(columns), r"\bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{{_sides(columns)}}}", *body, r"\end{tabular}"])


def _sides(columns: Columns) -> str:
    return "".join(side[0] for side in alignment(columns))


def _head(columns: Columns) -> str:
    return _line(_title(title, side[0]) for title, side in zip(columns, alignment(columns), strict=True))


def _title(title: str, side: str) -> str:
    """A title, over lines where it has breaks."""
    lines = [escaped(line) for line in title.split("\n")]
    stacked = r" \\ ".join(lines)
    return stacked if len(lines) == 1 else rf"\shortstack[{side}]{{{stacked}}}"


def _body(columns: Columns) -> list[str]:
    return [_line(map(_bold, line)) for line in lines(columns)]


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _bold(cell: str) -> str:
    """A cell of results, whose mark is bold type here."""
    return rf"\textbf{{{escaped(cell.removesuffix(MARK))}}}" if BEST.fullmatch(cell) else escaped(cell)


LATEX = Latex()
