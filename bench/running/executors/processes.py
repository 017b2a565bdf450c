"""A child process, from its order to its last word. What it does with the order: `bench.cli.child`."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import Interrupted, StoreAway
from bench.hardware.quantities import duration
from bench.progress import COMPILING, Progress, Silent, noted
from bench.running.executors.events import event_in, lines
from bench.running.executors.orders import Order, Piece, RunOrder
from bench.storage.shared.company import at_work
from bench.storage.shared.mirrors import mirrored

WAITING = ("prepared", "made")  # last words after which a child waits for another piece of its run


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        event: what its last word was ("record", "failed", ...), or None where it died without one.
        facts: what came with it.
        status: of its process.
        stopped: whether the user asked for a stop meanwhile.
    """

    event: str | None
    facts: dict[str, Any]
    status: int
    stopped: bool

    @property
    def reason(self) -> str:
        """Why there is no result."""
        return str(self.facts.get("reason") or _death(self.status))


def run_child(order: Order, cache: Path, progress: Progress, timeout: float | None = None) -> Ended:
    """Has a child do what is ordered (see `bench.cli.child`) and passes its news on to `progress`.

    Args:
        timeout: seconds after which the child and all that it started are killed.

    Raises:
        Interrupted: the user asked to stop, and the child has done so, or could not say so any more.
        StoreAway: its store does not answer; what it did lies in this machine's mirror.
    """
    with at_work(cache) as file, closing(Child(cache)) as child, interruptible(child.stop):
        known = replace(order, company=str(file)) if isinstance(order, RunOrder) else order
        return child.obey(known, progress, timeout)


class Child:
    """A child that does what is ordered; after a piece of a run it waits for another of the same run.

    Where it had to make what a synthesis needs, another process takes its place, so that the peak of memory is the
    synthesis' whether that was found or made.

    Args:
        threads: of each of its libraries, unless the user says how many (OMP_NUM_THREADS); None: as many as they like.
    """

    def __init__(self, cache: Path, threads: int | None = None) -> None:
        self._environment = child_environment(cache, threads)
        self._process = _started(self._environment)
        self._watch = _Watch(Silent())
        self._stops = 0

    def obey(self, order: Order, progress: Progress, timeout: float | None = None) -> Ended:
        """Has it do what is ordered. As `run_child`."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        self._watch = _Watch(progress)
        event, facts = self._last_word(replace(order, anew=True) if isinstance(order, RunOrder) else order, until)
        if event == "anew" and isinstance(order, RunOrder) and not self._stops:
            self._renew(until)
            event, facts = self._last_word(replace(order, found=facts["found"]), until)
        status, in_time = (0, True) if isinstance(order, Piece) and event in WAITING else _end(self._process, until)
        if self._stops and event in (None, "failed", "interrupted", "anew"):
            raise Interrupted(facts.get("reason") or "stopped")
        if event == "away" and _has_store(order):  # every other child would find it so
            raise StoreAway(facts["reason"])
        if event == "interrupted":  # a signal to the child alone, or a plugin's word: no reason to end a table
            return Ended("failed", {"reason": f"its process was told to stop: {facts['reason']}"}, status, False)
        if event is None and timeout is not None and not in_time:
            facts = {"reason": over_time(timeout)}
        return Ended(event, facts, status, self._stops > 0)

    def _last_word(self, order: Order, until: float) -> tuple[str | None, dict[str, Any]]:
        _send(self._process, order)
        return _listen(self._process, self._watch, until, waits=isinstance(order, Piece))

    def _renew(self, until: float) -> None:
        """Another process takes the place of one that ends. A stop meanwhile, which only that one heard, ends it."""
        _end(self._process, until)
        self.close()
        self._process = _started(self._environment)
        if self._stops:
            _kill(self._process)

    def stop(self, *, told: bool = True) -> None:
        """The first time it is asked to save and stop, which is `told` at once; the second time it is killed."""
        self._stops += 1
        if self._stops > 1:
            return _kill(self._process)
        self._process.send_signal(signal.SIGTERM)
        if told:
            self._watch.stopping()

    def close(self) -> None:
        """Lets it go: it ends, if it has not."""
        with self._process:  # whose input is closed, and whose end is awaited
            pass


def over_time(timeout: float) -> str:
    """Why there is no result of a run that took longer than it may."""
    return f"over its time: stopped after {duration(timeout)} (--timeout)"


def _started(environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """The child, in a process group of its own: a terminal sends Ctrl-C to all of a group, compilers included.

    One that dies of it would be taken for a network that cannot be compiled.
    """
    command = [sys.executable, "-m", "bench.cli.child"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0, process_group=0
    )


def _has_store(order: Order) -> bool:
    """Whether what it is about lies in a store elsewhere: of any other a plugin in the child spoke."""
    places = (order.runs / "any", order.cache / "stages") if isinstance(order, RunOrder) else ()
    return any(map(mirrored, places))


def _send(child: "subprocess.Popen[bytes]", order: Order) -> None:
    assert child.stdin
    rest = json.dumps(order.to_json()).encode() + b"\n"
    with suppress(BrokenPipeError):  # it died before it could listen; its status says of what
        while rest:
            rest = rest[child.stdin.write(rest) :]


def _end(child: "subprocess.Popen[bytes]", until: float) -> tuple[int, bool]:
    """The status of the child, and whether it ended by itself before the time came."""
    try:
        return child.wait(None if until == math.inf else max(0.0, until - time.monotonic())), True
    except subprocess.TimeoutExpired:
        _kill(child)
        return child.wait(), False


@dataclass
class _Watch:
    """Passes a child's news on and remembers what it is at."""

    progress: Progress
    under_way: str = ""

    def advance(self, what: str, done: int, total: int) -> None:
        self.under_way = what
        self.progress.advance(what, done, total)

    def note(self, fact: str, text: str) -> None:
        noted(self.progress, fact, text)

    def warn(self, message: str) -> None:
        self.progress.warn(message)

    def stopping(self) -> None:
        """Says that a stop was heard, and when it takes effect."""
        compiling = f": {self.under_way} must end first, which may take minutes"
        when = compiling if self.under_way.startswith(COMPILING) else " after the step under way, which is then saved"
        with suppress(RuntimeError):  # the press came in the middle of another line
            self.progress.warn(f"stopping{when}; Ctrl-C again kills it at once")


def _listen(
    child: "subprocess.Popen[bytes]", progress: Progress, until: float, *, waits: bool
) -> tuple[str | None, dict[str, Any]]:
    """Passes the child's news on until it `waits`, closes its channel, or the time comes; with its last word."""
    last: tuple[str | None, dict[str, Any]] = None, {}
    for line in lines(child, until):
        match event_in(line):
            case "progress", facts:
                progress.advance(**facts)
            case "note", facts:
                noted(progress, **facts)
            case "warning", facts:
                progress.warn(facts["message"])
            case kind, facts:
                last = kind, facts
                if waits and kind in WAITING:
                    break
    return last


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Within it Ctrl-C, or a request to end, calls `stop`.

    Python tells the main thread alone of a Ctrl-C; in another there is nothing to hear.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill(child: "subprocess.Popen[bytes]") -> None:
    """Kills the child and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def child_environment(cache: Path, threads: int | None = None) -> dict[str, str]:
    """The environment of a child: settings that must stand before torch is loaded, unless the user says otherwise.

    GOMP_SPINCOUNT: by default an OpenMP thread that waits for another spins for milliseconds. When any other process
    takes one of the cores, the one waited for does not run, and a step takes 25 times as long (500 ms for 20 ms). Sleep
    costs, too, where a step is of many small pieces: docs/measuring.md has the figures.
    OMP_NUM_THREADS: `threads`, where there are several children; torch and OpenMP else take all cores in each.
    TORCHINDUCTOR_CACHE_DIR, TRITON_CACHE_DIR: what was compiled once is found again by later runs.
    """
    compiled = cache / "compiled"
    ours = {
        "GOMP_SPINCOUNT": "3000",
        "TORCHINDUCTOR_CACHE_DIR": str(compiled / "inductor"),
        "TRITON_CACHE_DIR": str(compiled / "triton"),
    }
    if threads is not None:
        ours["OMP_NUM_THREADS"] = str(threads)
    if "OMP_WAIT_POLICY" in os.environ:
        del ours["GOMP_SPINCOUNT"]
    return {**ours, **os.environ}


def _death(status: int) -> str:
    """Why a child that said nothing died."""
    if status == -signal.SIGKILL:
        return "killed (SIGKILL), perhaps by the system because memory ran out"
    if status < 0:
        return f"killed by signal {signal.Signals(-status).name}"
    return f"its process ended with status {status}; see its log"
