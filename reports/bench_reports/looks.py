"""How the lines of figures look: in all figures of a file a method has one colour, and a mark of its own."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.reporting import Row

COLOURS = 8  # of a palette


@dataclass(frozen=True)
class Look:
    """Of a line.

    Attributes:
        colour: its method's place in a palette of `COLOURS`; None of controls, which have a colour of their own.
        mark: its place among marks, of which there may be fewer.
        nth: which of its method's lines in a figure it is, from 0.
    """

    colour: int | None
    mark: int
    nth: int


class Looks:
    """The looks of a file's methods, whatever the order in which figures show them.

    Lines of one method in one figure have its colour, and marks of their own; the first has the method's.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        methods = sorted({row["method"] for row in rows if not row.get("is_control")})
        self._places = {method: place for place, method in enumerate(methods)}

    def of(self, lines: Mapping[str, Row]) -> dict[str, Look]:
        """By the names of a figure's lines, of each of which a row is given."""
        seen: Counter[int | None] = Counter()
        found = {}
        for name, row in sorted(lines.items()):
            place = None if row.get("is_control") else self._places[row["method"]]
            found[name] = _look(place, seen[place])
            seen[place] += 1
        return found


def _look(place: int | None, nth: int) -> Look:
    """Two methods that share a colour, since there are more of them than colours, have different marks."""
    if place is None:
        return Look(None, nth, nth)
    again, colour = divmod(place, COLOURS)
    return Look(colour, colour + again + nth, nth)
