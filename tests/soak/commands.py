"""Commands of `bench` in a fork of this process, which has imported all that they need: a kill costs no start.

The command's own child is a fork as well. Forks are only sure where no other thread runs, so this belongs in a process
of its own that has computed nothing yet.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import bench.cli.child
import bench.running.processes
from bench.cli import main
from tests.soak.trap import Processes, Strike, Trap

Around = Callable[[Callable[[], object]], Callable[[], object]]
LONGEST = 120.0  # seconds after which a command hangs


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, negative for a signal, and what it said."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Command:
    """Words that a user types, and where: a folder that also holds runs, cache and data."""

    words: Sequence[str]
    folder: Path

    def traced(self) -> tuple[Ended, Trap, float]:
        """To its end, with its calls and the seconds that it took."""
        notes, began = self.folder / "calls.txt", time.monotonic()
        trap = Trap(Processes(), notes)
        return self._run(trap), trap, time.monotonic() - began

    def struck(self, strike: Strike) -> Ended:
        """Until it dies of a strike; where its moment never comes, to its end."""
        return self._run(Trap(Processes(), self.folder / "calls.txt", strike))

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
        return Command([*self.words, *more], self.folder)._run(None)

    def _run(self, trap: Trap | None, around: Around = lambda body: body) -> Ended:
        alive, held = os.pipe()  # whoever is forked holds one end: the other one tells when all are gone
        if (pid := os.fork()) == 0:
            os.close(alive)
            self._become(trap, around)
        os.close(held)
        if trap and trap.strike and isinstance(trap.strike.moment, float):
            self._kill_later(trap, alive, trap.strike.moment)
        self._await(pid, alive)
        _, status = os.waitpid(pid, 0)
        out, err = ((self.folder / name).read_text() for name in ("out.txt", "err.txt"))
        return Ended(os.waitstatus_to_exitcode(status), out, err)

    def _kill_later(self, trap: Trap, alive: int, seconds: float) -> None:
        if not select.select([alive], [], [], seconds)[0] and trap.strike:
            trap.processes.kill(trap.strike.victim)

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
            (1, "out.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (2, "err.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        ):
            os.dup2(os.open(name, flags), number)
        os.environ.update(self._environment())
        processes = trap.processes if trap else Processes()
        bench.running.processes._started = lambda given: Fork(around(_child_main(given)), processes)  # type: ignore[assignment, return-value]
        sys.argv = ["bench", *self.words]
        if trap:
            trap.arm()
        _to_the_end(around(main))

    def _environment(self) -> Mapping[str, str]:
        places = {"BENCH_RUNS": "runs", "BENCH_CACHE": "cache", "BENCH_DATA": "data"}
        here = {name: str(self.folder / each) for name, each in places.items()}
        return {**here, "BENCH_CHECKPOINT_SECONDS": "0"}  # one after each step: so many more moments


class Fork:
    """A child as `subprocess.Popen` makes one, with pipes for its standard input and output."""

    def __init__(self, body: Callable[[], object], processes: Processes) -> None:
        read_order, write_order = os.pipe()
        read_news, write_news = os.pipe()
        self.returncode: int | None = None
        self._processes = processes
        if (pid := os.fork()) == 0:
            os.setpgid(0, 0)
            os.dup2(read_order, 0)
            os.dup2(write_news, 1)
            for number in (read_order, write_order, read_news, write_news):
                os.close(number)
            sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), sys.__stdout__, sys.__stderr__
            _to_the_end(body)
        self.pid = pid
        processes.born("child", pid)
        os.close(read_order)
        os.close(write_news)
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
                self._processes.born("child", 0)
        return self.returncode

    def __enter__(self) -> "Fork":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stdin.close()
        self.stdout.close()
        self.wait()


def _child_main(environment: Mapping[str, str]) -> Callable[[], None]:
    def body() -> None:
        os.environ.update(environment)
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
