"""Commands of `bench` in a fork of this process, which has imported all that they need: a kill costs no start.

The command's own children are forks as well. Forks are only sure where no other thread runs, so this belongs in a
process of its own that has computed nothing yet; threads of a command do nothing but wait for its children.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import NoReturn

import bench.cli.child
import bench.running.executors.processes
from bench.cli import main
from bench.storage.shared import mirrors
from tests.soak.trap import Strike, Trap, Victim, kill

Around = Callable[[Callable[[], object]], Callable[[], object]]
Killer = Callable[[Victim, int], None]
LONGEST = 240.0  # seconds after which a command hangs
NOTES = "calls.txt"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, negative for a signal, and what it said."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Command:
    """Words that a user types, and where: a folder that also holds runs, cache and data.

    Attributes:
        environment: what it says beside the usual.
        killer: kills a victim of a moment in time; it is told the command's process.
        name: begins the names of the files of what it says, where several share a folder.
    """

    words: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    killer: Killer = kill
    name: str = ""

    @property
    def notes(self) -> Path:
        """The file of its calls."""
        return self.folder / NOTES

    def traced(self) -> tuple[Ended, Trap, float]:
        """To its end, with its calls and the seconds that it took."""
        trap, began = Trap(self.notes), time.monotonic()
        return self._run(trap), trap, time.monotonic() - began

    def struck(self, strike: Strike) -> tuple[Ended, Trap]:
        """Until it dies of a strike; where its moment never comes, to its end. And its calls."""
        trap = Trap(self.notes, strike)
        return self._run(trap), trap

    def lists_modules(self, target: Path) -> None:
        """To its end; its processes write the names of what they imported."""

        def listed(body: Callable[[], object]) -> Callable[[], None]:
            def with_list() -> None:
                try:
                    body()
                finally:
                    with target.open("a") as file:
                        file.write("\n".join(sys.modules) + "\n")

            return with_list

        ended = self._run(None, listed)
        assert ended.status == 0, ended.err

    def again(self, *more: str) -> Ended:
        """To its end, with more words."""
        return replace(self, words=[*self.words, *more])._run(None)

    def _run(self, trap: Trap | None, around: Around = lambda body: body) -> Ended:
        self.notes.unlink(missing_ok=True)
        pid, alive = self.begun(trap, around)
        if trap and trap.strike and isinstance(trap.strike.moment, float):
            self.kill_later(trap.strike, alive, pid)
        return self.ended(pid, alive)

    def begun(self, trap: Trap | None, around: Around = lambda body: body) -> tuple[int, int]:
        """Its process, and the end of a pipe that tells when that and all its children are gone."""
        alive, held = os.pipe()  # whoever is forked holds one end
        if (pid := os.fork()) == 0:
            os.close(alive)
            self._become(trap, around)
        os.close(held)
        return pid, alive

    def ended(self, pid: int, alive: int) -> Ended:
        """How it ended, once it has."""
        self._await(pid, alive)
        _, status = os.waitpid(pid, 0)
        out, err = ((self.folder / f"{self.name}{file}").read_text() for file in ("out.txt", "err.txt"))
        return Ended(os.waitstatus_to_exitcode(status), out, err)

    def kill_later(self, strike: Strike, alive: int, pid: int) -> None:
        """At a moment in time, where it is not at its end by then."""
        if not select.select([alive], [], [], strike.moment)[0]:
            self.killer(strike.victim, pid)

    def _await(self, pid: int, alive: int) -> None:
        if not select.select([alive], [], [], LONGEST)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # its child ends with it
            raise AssertionError(f"{' '.join(self.words)} hangs; see {self.folder}")
        os.close(alive)

    def _become(self, trap: Trap | None, around: Around) -> NoReturn:
        """The command, in this process."""
        os.setsid()
        os.chdir(self.folder)
        for number, name, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, f"{self.name}out.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (2, f"{self.name}err.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        ):
            os.dup2(os.open(name, flags), number)
        os.environ.update(self._environment())
        bench.running.executors.processes._started = lambda given: Fork(around(_child_main(given)))  # type: ignore[assignment, return-value]
        sys.argv = ["bench", *self.words]
        if trap:
            trap.arm()
        _to_the_end(around(main))

    def _environment(self) -> Mapping[str, str]:
        places = {"BENCH_RUNS": "runs", "BENCH_CACHE": "cache", "BENCH_DATA": "data"}
        here = {name: str(self.folder / each) for name, each in places.items()}
        checkpoints = {"BENCH_CHECKPOINT_SECONDS": "0"}  # one after each step: so many more moments
        return {**here, **checkpoints, **self.environment}


_ENDS = set[int]()  # of a command's pipes to its children: one that kept another's would hide that it was closed
_BIRTH = Lock()


class Fork:
    """A child as `subprocess.Popen` makes one, with pipes for its standard input and output."""

    def __init__(self, body: Callable[[], object]) -> None:
        self.returncode: int | None = None
        with _BIRTH:
            read_order, write_order = os.pipe()
            read_news, write_news = os.pipe()
            if (pid := os.fork()) == 0:
                os.setpgid(0, 0)
                os.dup2(read_order, 0)
                os.dup2(write_news, 1)
                for number in (read_order, write_order, read_news, write_news, *_ENDS):
                    os.close(number)
                sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), sys.__stdout__, sys.__stderr__
                _to_the_end(body)
            self.pid = pid
            os.close(read_order)
            os.close(write_news)
            self._ends = (write_order, read_news)
            _ENDS.update(self._ends)
        self.stdin = os.fdopen(write_order, "wb", buffering=0)
        self.stdout = os.fdopen(read_news, "rb", buffering=0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status; no time limit is kept."""
        return self._reaped(0) or 0

    def poll(self) -> int | None:
        """The same where it has ended."""
        return self._reaped(os.WNOHANG)

    def send_signal(self, number: int) -> None:
        """To it alone."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def _reaped(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def __enter__(self) -> "Fork":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _BIRTH:
            _ENDS.difference_update(self._ends)
            self.stdin.close()
            self.stdout.close()
        self.wait()


def _child_main(environment: Mapping[str, str]) -> Callable[[], None]:
    def body() -> None:
        os.environ.update(environment)
        for opened in (mirrors._mirror, mirrors._mirror_above):  # a store that is open is its process' own
            opened.cache_clear()
        bench.cli.child.main()

    return body


def _to_the_end(body: Callable[[], object]) -> NoReturn:
    """Does it and ends this process as Python does, without what belongs to the process it was forked from."""
    status: object = 1
    try:
        body()
        status = 0
    except SystemExit as end:
        status = end.code
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)
