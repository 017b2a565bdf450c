"""Axes of figures: where a value lies, and which are written beside. The ticks are matplotlib's."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from matplotlib.ticker import LogLocator, MaxNLocator

from bench.reporting.panels import FARTHEST

TICKS = 5
WIDE = 20  # of positive values, the largest over the smallest from which on the axis is logarithmic


@dataclass(frozen=True)
class Axis:
    """An axis from one pixel to another.

    Attributes:
        low, high: the values at its ends; both positive where it is logarithmic.
        start, end: their places in pixels.
        ticks: the values that are written, and as what.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool
    ticks: Sequence[tuple[float, str]]

    def place(self, value: float) -> float:
        """Pixels of a value, to a tenth."""
        return self.places([value])[0]

    def places(self, values: Iterable[float]) -> list[float]:
        """The same of many."""
        origin, scale = self._origin, self._scale
        scaled = map(math.log10, values) if self.logarithmic else values
        return [round(origin + value * scale, 1) for value in scaled]

    def marks(self) -> list[tuple[float, str]]:
        """Places of the ticks, with what is written there."""
        return [(self.place(value), text) for value, text in self.ticks]

    @cached_property
    def _scale(self) -> float:
        """Pixels a unit."""
        return (self.end - self.start) / (self._scaled(self.high) - self._scaled(self.low))

    @cached_property
    def _origin(self) -> float:
        """Where 0 would lie."""
        return self.start - self._scaled(self.low) * self._scale

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def axis(
    values: Sequence[float], start: float, end: float, ticks: Sequence[float] = (), *, linear: bool = False
) -> Axis:
    """The axis on which all of these values lie; logarithmic where they are positive and far apart, unless `linear`.

    Args:
        ticks: the values to be written; those of matplotlib where there are none.
    """
    low, high = (max(-FARTHEST, min(FARTHEST, end)) for end in (min(values), max(values)))
    if low > 0 and not linear and (high / low >= WIDE or ticks):
        edge = max(1.1, (high / low) ** 0.06)
        return _axis(low / edge, high * edge, start, end, True, tuple(ticks))
    edge = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    whole = all(float(value).is_integer() for value in values)  # epochs, say: there is none between two
    return _axis(low - edge, high + edge, start, end, False, tuple(ticks), whole=whole)


@lru_cache(maxsize=256)  # epochs are the same in most figures of a site
def _axis(
    low: float,
    high: float,
    start: float,
    end: float,
    logarithmic: bool,
    ticks: tuple[float, ...],
    *,
    whole: bool = False,
) -> Axis:
    locator = LogLocator(numticks=TICKS) if logarithmic else MaxNLocator(TICKS, integer=whole)
    found = [float(value) for value in ticks or locator.tick_values(low, high) if low <= value <= high]
    if logarithmic and len(found) < 2:
        found = [float(value) for value in MaxNLocator(TICKS).tick_values(low, high) if low <= value <= high]
    return Axis(low, high, start, end, logarithmic, [(value, _written(value)) for value in found])


def _written(value: float) -> str:
    """As short as it can be said."""
    return f"{value:g}".replace("e-0", "e-").replace("e+0", "e")
