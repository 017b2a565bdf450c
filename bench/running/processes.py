"""A child process, from its order to its last word. What it does with the order: `bench.cli.child`."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import Interrupted
from bench.hardware.quantities import duration
from bench.progress import COMPILING, Progress
from bench.running.events import event_in, lines
from bench.running.orders import Order


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
    """
    until = math.inf if timeout is None else time.monotonic() + timeout
    with _started(cache) as child:
        watch = _Watch(progress)
        with _stoppable(child, watch) as asked_to_stop:
            _send(child, order)
            event, facts = _listen(child, watch, until)
            status, in_time = _end(child, until)
    if asked_to_stop() and event in (None, "failed", "interrupted"):
        raise Interrupted(facts.get("reason") or "stopped")
    if event == "interrupted":  # a signal to the child alone, or a plugin's word: no reason to end a table
        return Ended("failed", {"reason": f"its process was told to stop: {facts['reason']}"}, status, False)
    if event is None and timeout is not None and not in_time:
        facts = {"reason": f"over its time: stopped after {duration(timeout)} (--timeout)"}
    return Ended(event, facts, status, asked_to_stop())


def _started(cache: Path) -> "subprocess.Popen[bytes]":
    """The child, in a process group of its own: a terminal sends Ctrl-C to all of a group, compilers included.

    One that dies of it would be taken for a network that cannot be compiled.
    """
    command, environment = [sys.executable, "-m", "bench.cli.child"], child_environment(cache)
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0, process_group=0
    )


def _send(child: "subprocess.Popen[bytes]", order: Order) -> None:
    assert child.stdin
    rest = json.dumps(order.to_json()).encode() + b"\n"
    with contextlib.suppress(BrokenPipeError):  # it died before it could listen; its status says of what
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

    def warn(self, message: str) -> None:
        self.progress.warn(message)

    def stopping(self) -> None:
        """Says that a stop was heard, and when it takes effect."""
        compiling = f": {self.under_way} must end first, which may take minutes"
        when = compiling if self.under_way.startswith(COMPILING) else " after the step under way, which is then saved"
        with contextlib.suppress(RuntimeError):  # the press came in the middle of another line
            self.progress.warn(f"stopping{when}; Ctrl-C again kills it at once")


def _listen(child: "subprocess.Popen[bytes]", progress: Progress, until: float) -> tuple[str | None, dict[str, Any]]:
    """Passes the child's news on until it closes its channel or the time comes; its last word says how it ended."""
    last: tuple[str | None, dict[str, Any]] = None, {}
    for line in lines(child, until):
        match event_in(line):
            case "progress", facts:
                progress.advance(**facts)
            case "warning", facts:
                progress.warn(facts["message"])
            case kind, facts:
                last = kind, facts
    return last


@contextlib.contextmanager
def _stoppable(child: "subprocess.Popen[bytes]", watch: _Watch) -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks the child to save and stop, and is said to have been heard; the second kills it.

    Yields whether there was one. Python tells the main thread alone of a Ctrl-C; in another there is nothing to hear.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    presses = 0

    def stop(*_: object) -> None:
        nonlocal presses
        presses += 1
        if presses > 1:
            return _kill(child)
        child.send_signal(signal.SIGTERM)
        watch.stopping()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: presses > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill(child: "subprocess.Popen[bytes]") -> None:
    """Kills the child and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def child_environment(cache: Path) -> dict[str, str]:
    """The environment of a child: settings that must stand before torch is loaded, unless the user says otherwise.

    GOMP_SPINCOUNT: by default an OpenMP thread that waits for another spins for milliseconds. When any other process
    takes one of the cores, the one waited for does not run, and a step takes 25 times as long (500 ms for 20 ms).
    TORCHINDUCTOR_CACHE_DIR, TRITON_CACHE_DIR: what was compiled once is found again by later runs.
    """
    compiled = cache / "compiled"
    ours = {
        "GOMP_SPINCOUNT": "1000",
        "TORCHINDUCTOR_CACHE_DIR": str(compiled / "inductor"),
        "TRITON_CACHE_DIR": str(compiled / "triton"),
    }
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
