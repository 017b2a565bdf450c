"""The process in which one piece of work happens: `python -m bench.cli.child`, started by `bench.running.processes`.

Its peak memory is its own, and its crash is one failed row. It reads its order as one line from standard input, sends
events as lines of JSON to standard output, and logs to the file that the order names. Standard input stays open as long
as the parent lives; when it closes, the child ends too, so that no orphan holds the run.

Every order names its "work" (a key of `WORK`), "log", "plugins", "device" and "precision"; the rest is the work's own.
"""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import torch

from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.hardware.allocator import keep_freed_memory
from bench.hardware.devices import use_precision
from bench.results.spec import Job
from bench.running.context import RunContext
from bench.running.failures import reason_of
from bench.running.forecasting import foresee
from bench.running.runner import Run
from bench.speed.floor import FloorSpec, measure_floor
from bench.speed.measuring import StepSpec, measure_step
from bench.storage.stages import LockHeld

Order = Mapping[str, Any]


class Channel:
    """Progress as events to the parent."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def send(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - JSON values
        """Sends one event."""
        self._stream.write(json.dumps({"event": event, **facts}) + "\n")
        self._stream.flush()

    def advance(self, what: str, done: int, total: int) -> None:
        """Work advanced."""
        self.send("progress", what=what, done=done, total=total)

    def warn(self, message: str) -> None:
        """Something the user should know."""
        logging.getLogger("bench").warning(message)
        self.send("warning", message=message)


def main() -> None:
    """Does the work that standard input orders and reports how it ended."""
    channel = Channel(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    try:
        _work(order, channel)
    except BaseException as error:  # what has no record: no room for a log, a plugin that ends Python when imported
        logging.getLogger("bench").exception("the work could not be done")
        channel.send("failed", reason=reason_of(error))


def _work(order: Order, channel: Channel) -> None:
    _log_to(Path(order["log"]))
    device = torch.device(order["device"])
    if device.type == "cuda" and device.index is not None:  # "cuda" is the first
        torch.cuda.set_device(device)
    use_precision(order["precision"])
    try:
        WORK[order["work"]](order, Registry(order["plugins"]), channel)
    except LockHeld as error:
        channel.send("owned", reason=str(error))
    except Interrupted as error:
        channel.send("interrupted", reason=str(error))


def _run(order: Order, registry: Registry, channel: Channel) -> None:
    record = Run(Job.from_json(order["job"]), registry, _place(order, channel), order["retry"]).complete()
    channel.send("record", record=record.to_json())


def _trial(order: Order, registry: Registry, channel: Channel) -> None:
    scratch = Path(order["scratch"])
    forecast = foresee(Job.from_json(order["job"]), registry, _place(order, channel), scratch)
    channel.send("forecast", forecast=forecast.to_json())


def _step(order: Order, registry: Registry, channel: Channel) -> None:
    spec, folder = StepSpec.from_json(order["step"]), Path(order["folder"])
    measured = measure_step(spec, registry, folder, torch.device(order["device"]), channel, _stop())
    channel.send("measured", measured=measured)


def _floor(order: Order, registry: Registry, channel: Channel) -> None:
    floor = measure_floor(FloorSpec(**order["floor"]), registry, torch.device(order["device"]), channel)
    channel.send("measured", measured=floor)


WORK: dict[str, Callable[[Order, Registry, Channel], None]] = {
    "run": _run,
    "trial": _trial,
    "step": _step,
    "floor": _floor,
}


def _place(order: Order, channel: Channel) -> RunContext:
    return RunContext(
        runs=Path(order["runs"]),
        cache=Path(order["cache"]),
        data_root=Path(order["data_root"]),
        device=torch.device(order["device"]),
        progress=channel,
        should_stop=_stop(),
        checkpoint_seconds=order["checkpoint_seconds"],
        command=order["command"],
    )


def _stop() -> Callable[[], bool]:
    """Whether the user asked to stop, from now on."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop.is_set


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _log_to(path: Path) -> None:
    """Everything printed from here on, by us or by a plugin, goes to the log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


if __name__ == "__main__":
    main()
