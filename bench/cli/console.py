"""Progress on standard error: a live line on a terminal, a plain line now and then elsewhere."""

import time
from dataclasses import dataclass
from threading import RLock
from types import TracebackType
from typing import TextIO, cast

from rich.console import Console as Terminal

from bench.cli.live import Live
from bench.progress import Progress
from bench.storage.streams import one_line, shown, watched

PLAIN_SECONDS = 10.0


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
        self._display = Live(self._terminal)
        self._lock = RLock()  # runs side by side are told of from several threads
        self._began: dict[str, float] = {}
        self._told: dict[str, float] = {}  # when a line said of what
        self._run, self._what, self._said = "", "", 0.0
        self._units: dict[str, str] = {}  # at which of several units, or trainings, a run is
        self._warned = set[str]()
        self._ended = ""  # the last line of work that came to its end, said before whatever is said next

    def __enter__(self) -> "Console":
        if self._live:
            self._display.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._display.bars.stop()
        elif self._ended:
            self._print(self._ended)

    def say(self, message: str) -> None:
        """One line of news. Where it cannot be written it is lost: nothing ends because nobody reads."""
        if not self._quiet:
            self._tell(message)

    def show(self, table: str) -> None:
        """News of several lines, whose blanks are columns."""
        for line in [] if self._quiet else table.splitlines():
            self._put(shown(line))

    def _tell(self, message: str) -> None:
        self._put(one_line(message))

    def _put(self, line: str) -> None:
        if self._live:
            self._terminal.print(line, highlight=False, markup=False)
        else:
            self._follow(line)

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

        One that began stays on the display until it has ended (`end`).
        """
        self._run, self._what = name, ""
        self._told.clear()
        self._began[name] = time.monotonic()
        self._display.begin(name, f"{place} {short} ")
        if not self._live:
            self.say(f"{place} {name}")

    def end(self, name: str) -> float | None:
        """A run ended; the seconds since it began, where it did here."""
        self._display.end(name)
        self._units.pop(name, None)
        began = self._began.pop(name, None)
        return None if began is None else time.monotonic() - began

    def of(self, run: str) -> Progress:
        """What tells of one run of several that are under way."""
        return _News(self, run)

    def warn(self, message: str) -> None:
        """Something the user should know, and is told once."""
        if message not in self._warned:
            self._warned.add(message)
            self._tell(f"warning: {message}")

    def advance(self, what: str, done: int, total: int) -> None:
        """`done` of `total` steps of `what` are done, of the run that began last."""
        self._advance(self._run, "", what, done, total)

    def advance_of(self, run: str, what: str, done: int, total: int) -> None:
        """The same of any run that is under way; where several are, its name is said."""
        self._advance(run, f"{run}: " if len(self._began) > 1 else "", what, done, total)

    def _advance(self, run: str, named: str, what: str, done: int, total: int) -> None:
        if self._quiet:
            return
        with self._lock:
            if self._live:
                self._display.advance(run, one_line(what), done, total)
            else:
                at = f"{unit}: " if (unit := self._units.get(run)) else ""
                said = f"{named}{at}{one_line(what)} {done}/{total}"
                self._say_now_and_then(named + one_line(what), said, ends=done >= total)

    def note_of(self, run: str, fact: str, text: str) -> None:
        """What a display has room for: the "unit" that a run is at, its "last" accuracy."""
        with self._lock:
            self._display.note(run, fact, text)
            if fact == "unit":
                self._units[run] = one_line(text)

    def _say_now_and_then(self, what: str, said: str, *, ends: bool) -> None:
        """A line of work where it is due: a unit is no other work, for units may be thousands."""
        line, now = f"  {said}", time.monotonic()
        told = now - self._told.get(what, -PLAIN_SECONDS) < PLAIN_SECONDS
        if len(self._began) > 1 and told and not ends:
            return  # several take turns: a line each time would be thousands
        self._told[what] = now
        if what != self._what or now - self._said >= PLAIN_SECONDS:
            self._ended = self._ended if what != self._what else ""
            self._follow(line)
            self._what, self._said = what, now
        elif ends:
            self._ended = line


@dataclass(frozen=True)
class _News:
    """Of one run."""

    console: Console
    run: str

    def advance(self, what: str, done: int, total: int) -> None:
        self.console.advance_of(self.run, what, done, total)

    def note(self, fact: str, text: str) -> None:
        self.console.note_of(self.run, fact, text)

    def warn(self, message: str) -> None:
        self.console.warn(message)
