"""A child process, from its order to its last word. What it does with the order: `bench.child`."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import Interrupted
from bench.progress import Progress


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


def run_child(order: Mapping[str, Any], cache: Path, progress: Progress) -> Ended:
    """Has a child do what is ordered (see `bench.child`) and passes its news on to `progress`.

    Raises:
        Interrupted: the user asked to stop, and the child has done so, or could not say so any more.
    """
    command = [sys.executable, "-m", "bench.child"]
    pipe, environment = subprocess.PIPE, child_environment(cache)
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True) as child:
        assert child.stdin and child.stdout
        with _stoppable(child) as asked_to_stop:
            child.stdin.write(json.dumps(dict(order)) + "\n")
            child.stdin.flush()
            event, facts = _listen(child, progress)
            status = child.wait()
    if event == "interrupted" or (asked_to_stop() and event in (None, "failed")):
        raise Interrupted(facts.get("reason") or "stopped")
    return Ended(event, facts, status, asked_to_stop())


def _listen(child: "subprocess.Popen[str]", progress: Progress) -> tuple[str | None, dict[str, Any]]:
    """Passes the child's news on until it closes its channel; its last word says how it ended."""
    assert child.stdout
    last: tuple[str | None, dict[str, Any]] = None, {}
    for line in child.stdout:
        try:
            facts: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:  # cut short by a kill
            continue
        match facts.pop("event"):
            case "progress":
                progress.advance(**facts)
            case "warning":
                progress.warn(facts["message"])
            case kind:
                last = kind, facts
    return last


@contextlib.contextmanager
def _stoppable(child: "subprocess.Popen[str]") -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks the child to save and stop; the second kills it. Yields whether there was one."""
    presses = 0

    def stop(*_: object) -> None:
        nonlocal presses
        presses += 1
        child.send_signal(signal.SIGTERM if presses == 1 else signal.SIGKILL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: presses > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
