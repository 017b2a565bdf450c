"""Pages from templates.

All that is put into a page is escaped by Jinja2, and a page forbids its browser all but its own styles and scripts, the
latter by their hash, and pictures beside it: a name that were to slip through as markup could still neither run nor
load anything.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench_reports.site.axes import Axis
from bench_reports.site.figures import Mark, Series
from bench_reports.site.tables import Cell, Line

MARKUP = re.compile("[&<>'\"]")  # what `escape` writes otherwise
TEMPLATES = Path(__file__).with_name("templates")
SCRIPTS = {
    "index": "index.js",
    "views": "index.js",
    "run": "run.js",
    "comparison": "run.js",
    "images": "images.js",
}  # of other pages there is none


def page(name: str, **values: Any) -> str:  # noqa: ANN401 - whatever its template shows
    """The page of a template (`NAME.html.j2`) with its styles and its script inside, ending in a newline."""
    script = _asset(SCRIPTS[name]) if name in SCRIPTS else ""
    template = _environment().get_template(f"{name}.html.j2")
    return template.render(style=_asset("style.css"), script=script, policy=_policy(script), **values) + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cells": cells, "marks": marks, "ticks": ticks, "pair_lines": pair_lines}
    return environment


def cells(line: Sequence[Cell], numeric: Sequence[bool]) -> Markup:
    """A line's cells, the first its heading. A site has a hundred thousand: a template takes four times as long."""
    heading, *others = (_content(cell, number) for cell, number in zip(line, numeric, strict=True))
    return Markup("".join([f'<th scope="row"{heading}</th>', *(f"<td{each}</td>" for each in others)]))


def _content(cell: Cell, numeric: bool) -> str:
    """From a tag's attributes to the text that it is around."""
    number = "" if cell.number is None else f' data-n="{cell.number}"'
    share = "" if cell.share is None else f' style="--share:{cell.share}"'
    text = _linked(cell.text, cell.link)
    if cell.links:
        text = ", ".join(_linked(*each) for each in cell.links)
    kind = ' class="n"' if numeric else ""
    return f"{kind}{number}{share}>{text}"


def _linked(text: str, link: str) -> str:
    return f'<a href="{_escaped(link)}">{_escaped(text)}</a>' if link else _escaped(text)


def marks(series: Series) -> Markup:
    """A series' results in a figure: of each its deviation, its shape with what it says, and where it leads."""
    return Markup("".join(_mark(series.shape, at) for at in series.marks))


def _mark(shape: int, at: Mark) -> str:
    ends = f'<line x1="{at.x}" x2="{at.x}" y1="{at.ends[0]}" y2="{at.ends[1]}"/>\n' if at.ends else ""
    drawn = f'<use href="#s{shape}" x="{at.x}" y="{at.y}"><title>{_escaped(at.said)}</title></use>'
    return f'{ends}<a href="{_escaped(at.link)}">{drawn}</a>\n' if at.link else f"{ends}{drawn}\n"


def ticks(axis: Axis, up: bool) -> Markup:
    """What is written beside an axis: one that goes `up`, with lines through the plot, or one that goes across."""
    return Markup("".join((_rung if up else _tick)(place, _escaped(text)) for place, text in axis.marks()))


def _rung(y: float, text: str) -> str:
    return f'<line x1="54" x2="390" y1="{y}" y2="{y}"/><text x="48" y="{y + 4}" text-anchor="end">{text}</text>\n'


def _tick(x: float, text: str) -> str:
    return f'<line x1="{x}" x2="{x}" y1="222" y2="226"/><text x="{x}" y="240" text-anchor="middle">{text}</text>\n'


def pair_lines(lines: Sequence[Line]) -> Markup:
    """Names with their values."""
    cells = (map(_escaped, (cell.text for cell in line.cells)) for line in lines)
    return Markup("".join('<tr><th scope="row">{}</th><td>{}</td></tr>\n'.format(*pair) for pair in cells))


def _escaped(text: str) -> str:
    """Most texts have nothing to escape, and are told so at a tenth of the cost."""
    return text if MARKUP.search(text) is None else str(escape(text))


@cache
def _asset(name: str) -> str:
    """Our own text, which templates put in as it is."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _policy(script: str) -> str:
    """The Content-Security-Policy of a page with this script. `file:` is what 'self' means on disk."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src 'self' file: data:; "
        "base-uri 'none'; form-action 'none'"
    )
