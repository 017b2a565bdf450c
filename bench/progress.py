"""Telling whoever watches how far the work is, without the work knowing who that is."""

import time
from typing import Protocol

COMPILING = "compile "  # begins the name of work that nothing can interrupt
DOUBT = "doubt"  # the name of a note, in words, that tables show as a warning of its row


class Progress(Protocol):
    """Receives news of the work."""

    def advance(self, what: str, done: int, total: int) -> None:
        """`done` of `total` steps of `what` are done. Cheap to call in a loop."""

    def warn(self, message: str) -> None:
        """Something the user should know that does not stop the work."""


def noted(progress: Progress, fact: str, text: str) -> None:
    """Tells what only a display has room for, where the watcher is one that takes it (`note`).

    Args:
        fact: "unit" (which unit, which training), or "last" (the last accuracy).
    """
    if (note := getattr(progress, "note", None)) is not None:
        note(fact, text)


def of_run(progress: Progress, run: str) -> Progress:
    """What tells a watcher of one run of several; the watcher itself, where it knows no runs."""
    return progress.of(run) if hasattr(progress, "of") else progress


class Silent:
    """Nobody watches."""

    def advance(self, what: str, done: int, total: int) -> None:
        """Says nothing."""

    def warn(self, message: str) -> None:
        """Says nothing."""


class Throttled:
    """Passes at most a few advances a second on, always the last one of each kind of work."""

    def __init__(self, watcher: Progress, interval: float = 0.25) -> None:
        self._watcher, self._interval, self._last = watcher, interval, 0.0

    def advance(self, what: str, done: int, total: int) -> None:
        """Passes on what is due."""
        now = time.monotonic()
        if done >= total or now - self._last >= self._interval:
            self._last = now
            self._watcher.advance(what, done, total)

    def warn(self, message: str) -> None:
        """Passes every warning on."""
        self._watcher.warn(message)
