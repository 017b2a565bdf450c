"""Tables as templates take them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        text: what is shown.
        number: what stands behind it and is sorted by, where that is a number.
        link: where it leads to, relative to the page, or "".
        share: of what is to be seen at a glance, from 0 to 1, where the table shows such.
        links: in place of one, texts that each lead somewhere of their own.
    """

    text: str
    number: float | None = None
    link: str = ""
    share: float | None = None
    links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Line:
    """A line of a table, the first cell its heading.

    Attributes:
        facets: by name, what the line is filtered by.
        kind: a class for its style, as "control", or "".
    """

    cells: Sequence[Cell]
    facets: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        caption: what it shows, in words.
        titles: of the columns.
        numeric: of each column, whether it holds numbers.
        lines: from the top.
        ranked: the column that the lines are in the order of, or -1.
        rising: whether its numbers rise down the table.
        kind: how shares are shown: "bars", "heat", or "" for not at all.
    """

    caption: str
    titles: Sequence[str]
    numeric: Sequence[bool]
    lines: Sequence[Line]
    ranked: int = -1
    rising: bool = False
    kind: str = ""


def plain(caption: str, titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> Table:
    """A table of texts; `numbers` are the places of columns that hold numbers."""
    numeric = [place in numbers for place in range(len(titles))]
    return Table(caption, titles, numeric, [Line([Cell(text) for text in row]) for row in rows])
