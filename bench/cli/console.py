"""Progress on standard error: a live line on a terminal, a plain line now and then elsewhere."""

import time
from types import TracebackType
from typing import TextIO, cast

from rich.console import Console as Terminal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from bench.storage.streams import one_line, watched

PLAIN_SECONDS = 10.0


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


class Console:
    """Shows progress and warnings while it is open (use it in a `with`).

    Args:
        quiet: warnings alone.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._stream = watched()
        self._terminal = Terminal(file=cast(TextIO, self._stream))
        self._live = self._terminal.is_terminal and not quiet
        self._bars = Bars(
            *_columns(),
            console=self._terminal,
            transient=True,
            redirect_stdout=False,  # what others write passes the filter of the stream itself
            redirect_stderr=False,
        )
        self._bar: TaskID | None = None
        self._run, self._what, self._said = "", "", 0.0
        self._ended = ""  # the last line of work that came to its end, said before whatever is said next

    def __enter__(self) -> "Console":
        if self._live:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._bars.stop()
        elif self._ended:
            self._print(self._ended)

    def say(self, message: str) -> None:
        """One line of news. Where it cannot be written it is lost: nothing ends because nobody reads."""
        if not self._quiet:
            self._tell(message)

    def _tell(self, message: str) -> None:
        if self._live:
            self._terminal.print(one_line(message), highlight=False, markup=False)
        else:
            self._follow(one_line(message))

    def _follow(self, line: str) -> None:
        """A line, after the last one of work that came to its end before it."""
        for each in filter(None, (self._ended, line)):
            self._print(each)
        self._ended = ""

    def _print(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def begin(self, place: str, name: str, short: str) -> None:
        """A run begins; the progress that follows is its.

        Args:
            place: among all, such as "[3/12]".
            name: of the run, for a line of its own.
            short: what stands before a bar, in few characters.
        """
        self._run, self._what = f"{place} {short} ", ""
        if not self._live:
            self.say(f"{place} {name}")

    def warn(self, message: str) -> None:
        """Something the user should know."""
        self._tell(f"warning: {message}")

    def advance(self, what: str, done: int, total: int) -> None:
        """`done` of `total` steps of `what` are done."""
        if self._quiet:
            return
        what = one_line(what)
        if self._live:
            self._show(what, done, total)
            return
        line = f"  {what} {done}/{total}"
        if what != self._what or time.monotonic() - self._said >= PLAIN_SECONDS:
            self._ended = self._ended if what != self._what else ""
            self._follow(line)
            self._what, self._said = what, time.monotonic()
        elif done >= total:
            self._ended = line

    def _show(self, what: str, done: int, total: int) -> None:
        if self._bar is None or what != self._what:
            if self._bar is not None:
                self._bars.remove_task(self._bar)
            self._bar, self._what = self._bars.add_task(f"{self._run}{what}", total=total), what
        self._bars.update(self._bar, completed=done, total=total)
