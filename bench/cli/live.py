"""The display of work on a terminal: a line a run that is under way, as wide as the terminal."""

import time
from dataclasses import dataclass

from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from bench.storage.streams import one_line

WIDE = 100  # columns of a terminal that has room for all


@dataclass
class _Line:
    """What is shown of a run: what stands before, and what it is at."""

    before: str
    bar: TaskID | None = None
    what: str = ""
    unit: str = ""
    last: str = ""


class Live:
    """A line a run: its stage and unit, a bar, steps a second, the time that the stage has left, the last accuracy.

    A line appears when the run's first step is told, and goes when the run ends.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._lines: dict[str, _Line] = {}
        self.bars = Bars(
            *_columns(wide=terminal.width >= WIDE),
            console=terminal,
            transient=True,
            expand=True,
            redirect_stdout=False,  # what others write passes the filter of the stream itself
            redirect_stderr=False,
        )

    def begin(self, run: str, before: str) -> None:
        """A run begins."""
        self.end(run)
        self._lines[run] = _Line(before)

    def advance(self, run: str, what: str, done: int, total: int) -> None:
        """`done` of `total` steps of `what`; a stage has a bar of its own, for its pace is its own."""
        line = self._lines.setdefault(run, _Line(""))
        if line.bar is None or what != line.what:
            if line.bar is not None:
                self.bars.remove_task(line.bar)
            named, line.what = f"{line.before}{what}", what
            line.bar = self.bars.add_task(named, total=total, completed=done, unit=line.unit, last=line.last)
        self.bars.update(line.bar, completed=done, total=total)

    def note(self, run: str, fact: str, text: str) -> None:
        """What else is known of a run: its "unit", or its "last" accuracy."""
        line = self._lines.setdefault(run, _Line(""))
        if fact in ("unit", "last"):
            setattr(line, fact, one_line(text))
            if line.bar is not None:
                self.bars.update(line.bar, unit=line.unit, last=line.last)

    def end(self, run: str) -> None:
        """A run ended: its line goes."""
        line = self._lines.pop(run, None)
        if line and line.bar is not None:
            self.bars.remove_task(line.bar)
            self.bars.refresh()  # before whatever is printed next, which draws what was drawn last again


class Rate(ProgressColumn):
    """Steps a second, or seconds a step where one takes longer."""

    def render(self, task: Task) -> Text:
        """A dash until it is known."""
        return Text(rate(task.speed), style="progress.data.speed")


def rate(speed: float | None) -> str:
    """As "12.3/s" or "4.2 s each"."""
    if not speed:
        return "–/s"
    return f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each"


class Elapsed(ProgressColumn):
    """How long the display has watched: of an hour, what has passed of it."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()

    def render(self, task: Task) -> Text:
        """As "1:02:03"."""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return Text(f"{minutes // 60}:{minutes % 60:02}:{seconds:02}", style="progress.elapsed")


def _columns(*, wide: bool) -> tuple[ProgressColumn, ...]:
    """What a line has; a narrow one leaves out the unit and what has passed."""
    named = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    unit = TextColumn("{task.fields[unit]}", markup=False, style="dim", table_column=Column(no_wrap=True))
    last = TextColumn("{task.fields[last]}", markup=False, style="bold", table_column=_right(7))
    steps, pace = MofNCompleteColumn(table_column=_right(7)), Rate(table_column=_right(7))
    bar = BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4))
    left = TimeRemainingColumn(compact=True, table_column=_right(5))
    short = (bar, steps, pace, left, last)
    return (named, unit, *short, Elapsed()) if wide else (named, *short)


def _right(width: int) -> Column:
    """A column that keeps its width while its numbers change."""
    return Column(no_wrap=True, justify="right", min_width=width)
