"""Sheets that plots stand on, in sizes for a screen or for a paper, and what all plots have in common.

Plots below each other are laid out by inches: matplotlib's own layout takes time with the square of their number, and
beyond some dozens gives up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib import rcsetup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.storage.streams import one_line

SCREEN = 9.0  # inches of a figure that is not made for a paper
PAPER = 8.0  # narrower ones have the type of a paper's captions
EDGE, ABOVE, BETWEEN = 0.1, 0.1, 0.12  # inches: around a sheet, between a heading and its plot, between parts
LINE = 1.3  # of the size of type: from a line to the next
LEAST = 0.4  # of the width: what long names leave to a plot
# Okabe and Ito's, which the colour-blind tell apart, with wine for their yellow, which is none on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#000000")
STYLE: Any = {
    **{"svg.fonttype": "none", "svg.hashsalt": "bench", "pdf.fonttype": 42, "text.parse_math": False},  # text is text
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.prop_cycle": rcsetup.cycler(color=COLOURS)},
}


@dataclass(frozen=True)
class Part:
    """A plot under its heading; `height` is of the plot, `legend` of what stands below its axis, in inches."""

    heading: str
    height: float
    legend: float = 0.0


class Sheet:
    """Plots below each other, under headings over the whole width, and small print below all."""

    def __init__(self, parts: Sequence[Part], notes: Sequence[str], inches: float | None) -> None:
        """Args: the width is that of a screen where `inches` is None."""
        self._width, type_size = inches or SCREEN, mpl.rcParams["font.size"]
        self._axis = 2 * LINE * type_size / 72 + 0.14  # below a plot: numbers, and what they are
        small_print = "\n".join(wrapped(note, self._width) for note in notes)
        headings = [wrapped(part.heading, self._width) for part in parts]
        above = [_lines(heading, type_size - 1) + ABOVE for heading in headings]
        heights = [
            top + part.height + self._axis + part.legend + BETWEEN for top, part in zip(above, parts, strict=True)
        ]
        self._height = sum(heights) + _lines(small_print, type_size - 1.5) + 2 * EDGE
        self.figure = Figure(figsize=(self._width, self._height))
        self.plots, top = list[Axes](), self._height - EDGE
        for part, heading, inset, height in zip(parts, headings, above, heights, strict=True):
            self._write(heading, top, type_size - 1)
            self.plots.append(self._plot(top - inset - part.height, part.height))
            top -= height
        self._write(small_print, top, type_size - 1.5)

    def _write(self, text: str, top: float, size: float) -> None:
        self.figure.text(EDGE / self._width, top / self._height, text, fontsize=size, va="top", linespacing=LINE)

    def _plot(self, bottom: float, height: float) -> Axes:
        left, right = 1.0 / self._width, 1 - 2 * EDGE / self._width
        return self.figure.add_axes((left, bottom / self._height, right - left, height / self._height))

    def with_legend(self, axes: Axes) -> None:
        """Puts the legend of a plot below its axis."""
        height = axes.get_position().height * self._height
        place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -self._axis / height)}
        axes.legend(ncols=2, frameon=False, borderaxespad=0, **place)

    def fitted(self) -> Figure:
        """The figure, once all is drawn: each plot begins where the names beside it end."""
        canvas: Any = FigureCanvasAgg(self.figure)
        renderer = canvas.get_renderer()
        for axes in self.plots:
            place, names = axes.get_position(), axes.yaxis.get_tightbbox(renderer)
            wide = 0.0 if names is None else (axes.bbox.x0 - names.x0) / self.figure.dpi
            left = min((wide + EDGE) / self._width, 1 - LEAST)
            axes.set_position((left, place.y0, place.x1 - left, place.height))
        return self.figure


def small_print_alone(notes: Sequence[str], inches: float | None = None) -> Figure:
    """A figure of nothing but notes, whose plots, if it is to have some, matplotlib lays out."""
    width, size = inches or SCREEN, mpl.rcParams["font.size"] - 1.5
    text = "\n".join(wrapped(note, width) for note in notes)
    figure = Figure(figsize=(width, _lines(text, size) + EDGE), layout="constrained")
    figure.supxlabel(text, fontsize=size, x=0.01, ha="left")
    return figure


def _lines(text: str, size: float) -> float:
    """Inches that lines of text take."""
    return (text.count("\n") + 1) * size * LINE / 72 if text else 0.0


def style(inches: float | None) -> Any:  # noqa: ANN401 - as matplotlib takes it
    """Of a figure of this width: small type in a column of a paper."""
    size = 7 if inches is not None and inches < PAPER else 9
    names = ("xtick.labelsize", "ytick.labelsize", "legend.fontsize", "axes.titlesize")
    return {**STYLE, "font.size": size, "axes.linewidth": 0.6, **dict.fromkeys(names, size - 0.5)}


def wrapped(text: str, inches: float) -> str:
    """A text in lines of a width."""
    line = int(inches * 72 / (0.5 * mpl.rcParams["font.size"]))  # characters
    return "\n".join(wrap(one_line(text), line))


def or_gap(value: float | None) -> float:
    """What was not measured is not drawn, and least of all as 0."""
    return math.nan if value is None else value
