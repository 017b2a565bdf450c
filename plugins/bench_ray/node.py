"""What lies on a node: the actor that has orders done there. Imports no Ray, which makes an actor of it."""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import __version__
from bench.errors import Interrupted
from bench.running.executors.orders import RunOrder
from bench.running.executors.processes import Ended
from bench.running.executors.side_by_side import LocalDesk
from bench.running.executors.workers import Needs

Event = tuple[str, tuple[Any, ...]]  # the name of what is told to whoever watches, and what


@dataclass(frozen=True)
class Answer:
    """What came of an order: its end, or why it stopped; and the news that were not fetched."""

    ended: Ended | None
    stopped: str
    news: list[Event]


class NodeDesk:
    """A desk on a node, spoken to from elsewhere: `news` and `stop` while `do` is under way."""

    def __init__(self, device: str, cache: Path, threads: int) -> None:
        self._desk = LocalDesk(device, cache, threads)
        self._news: deque[Event] = deque()

    def misfit(self, version: str, marks: Sequence[Path]) -> str | None:
        """Why nothing can be done here, if so: another version, or a folder that is not shared.

        Args:
            marks: files in folders of the folders that all nodes share.
        """
        host = os.uname().nodename
        if version != __version__:
            return f"the node {host} has version {__version__} of condensation-bench, and not {version}"
        if absent := [str(mark.parent.parent) for mark in marks if not mark.exists()]:
            return f"the node {host} does not see {absent[0]}: --runs and BENCH_CACHE must be folders that nodes share"
        return None

    def do(self, order: RunOrder, needs: Needs, timeout: float | None) -> Answer:
        """Has an order done in a process of its own."""
        try:
            return Answer(self._desk.do(order, needs, self, timeout), "", self.news())
        except Interrupted as error:
            return Answer(None, str(error), self.news())

    def news(self) -> list[Event]:
        """Those since they were last fetched."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def stop(self) -> None:
        """As of a desk."""
        self._desk.stop()

    def advance(self, what: str, done: int, total: int) -> None:
        """Work advanced."""
        self._news.append(("advance", (what, done, total)))

    def note(self, fact: str, text: str) -> None:
        """What a display has room for."""
        self._news.append(("note", (fact, text)))

    def warn(self, message: str) -> None:
        """Something the user should know."""
        self._news.append(("warn", (message,)))
