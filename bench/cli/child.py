"""The process in which one piece of work happens: `python -m bench.cli.child`, started by
`bench.running.executors.processes`.

Its peak memory is its own, and its crash is one failed row. It reads its order (`bench.running.executors.orders`) as
one line from standard input, sends events as lines of JSON to standard output, and logs to the file that the order
names. After a piece of a run it waits for another of the same run; after one that failed, and after any other work, it
ends. It also ends, if the order says so, when it has made a stage that the synthesis needs: another goes on
(`Prepared`). Standard input stays open as long as the parent lives; when it closes, the child ends too, so that no
orphan holds the run.
"""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

import torch

from bench.errors import Interrupted, StoreAway
from bench.extensions.registry import Registry
from bench.hardware.allocator import keep_freed_memory, spare_the_collector
from bench.hardware.devices import use_precision
from bench.planning.checks import check_machine
from bench.results.records import Record
from bench.running.executors.orders import (
    HelpOrder,
    Order,
    Piece,
    PrepareOrder,
    RunOrder,
    SetOrder,
    TrialOrder,
    UnitsOrder,
    order_from,
)
from bench.running.failures import Prepared, reason_of
from bench.running.forecasting.forecast import foresee
from bench.running.runner import Run
from bench.speed.floor import measure_floor
from bench.speed.measuring import measure_step
from bench.speed.orders import FloorOrder, StepOrder
from bench.storage.shared.leases import LockHeld, lost, stop_waiting_when
from bench.storage.streams import News

KINDS = (RunOrder, SetOrder, PrepareOrder, UnitsOrder, HelpOrder, TrialOrder, StepOrder, FloorOrder)


class Channel:
    """Progress as events to the parent."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def send(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - JSON values
        """Sends one event. Where nobody is left to hear it this process ends, before a loop takes that for a fault."""
        try:
            self._stream.write(json.dumps({"event": event, **facts}) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            os._exit(1)

    def advance(self, what: str, done: int, total: int) -> None:
        """Work advanced."""
        self.send("progress", what=what, done=done, total=total)

    def note(self, fact: str, text: str) -> None:
        """What a display has room for."""
        self.send("note", fact=fact, text=text)

    def warn(self, message: str) -> None:
        """Something the user should know."""
        logging.getLogger("bench").warning(message)
        self.send("warning", message=message)


def main() -> None:
    """Does the work that standard input orders and reports how it ended."""
    channel = Channel(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    orders: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    keep_freed_memory()
    spare_the_collector()
    try:
        _work(order_from(json.loads(orders.get()), KINDS), channel, orders)
    except BaseException as error:  # what has no record: no room for a log, a plugin that ends Python when imported
        logging.getLogger("bench").exception("the work could not be done")
        channel.send("failed", reason=reason_of(error))


def _work(order: Order, channel: Channel, orders: "SimpleQueue[str]") -> None:
    _log_to(order.log)
    device = torch.device(order.device)
    if device.type == "cuda" and device.index is not None:  # "cuda" is the first
        torch.cuda.set_device(device)
    use_precision(order.precision)
    if isinstance(order, RunOrder):
        check_machine(order.job.spec, device)
    try:
        if isinstance(order, Piece):
            _pieces(order, Registry(order.plugins), channel, orders)
        else:
            obey(order, Registry(order.plugins), channel)
    except Prepared as prepared:
        channel.send("anew", found=prepared.found)
    except LockHeld as error:
        channel.send("owned", reason=str(error))
    except StoreAway as error:
        channel.send("away", reason=str(error))
    except Interrupted as error:
        channel.send("interrupted", reason=str(error))


def _pieces(order: Order, registry: Registry, channel: Channel, orders: "SimpleQueue[str]") -> None:
    """Pieces of one run, until one fails or the parent lets go: what is prepared for the first serves all."""
    run, first = None, True
    while isinstance(order, Piece):
        run = run or Run(order.job, registry, order.context(channel, _stop()), order.retry)
        if not _piece(order, run, channel):
            return
        if first:
            spare_the_collector()  # what is prepared, and imported for it, stays too
        first = False
        order = order_from(json.loads(orders.get()), KINDS)


def _piece(order: Piece, run: Run, channel: Channel) -> bool:
    """Does it and says what came of it, of one that failed the record of the run; whether it did not fail."""
    if isinstance(order, UnitsOrder):
        event, fact, found = "made", "left", run.attempted(lambda synthesis: synthesis.make(order.units))
    else:
        event, fact, found = "prepared", "units", run.attempted(lambda synthesis: list(synthesis.units))
    if isinstance(found, Record):
        channel.send("record", record=found.to_json())
        return False
    channel.send(event, **{fact: found})
    return True


def obey(order: Order, registry: Registry, channel: Channel) -> None:
    """Does the work, and says how it ended as the channel's last word. From here on signals ask it to stop."""
    device = torch.device(order.device)
    match order:
        case TrialOrder():
            forecast = foresee(order.job, registry, order.context(channel, _stop()), order.scratch)
            channel.send("forecast", forecast=forecast.to_json())
        case HelpOrder():
            run = Run(order.job, registry, order.context(channel, _stop()))
            channel.send("helped", units=run.helped())
        case SetOrder():
            failed = Run(order.job, registry, order.context(channel, _stop()), order.retry).made_set()
            if failed is None:
                channel.send("set")
            else:
                channel.send("record", record=failed.to_json())
        case RunOrder():
            record = Run(order.job, registry, order.context(channel, _stop()), order.retry).complete()
            channel.send("record", record=record.to_json())
        case StepOrder():
            measured = measure_step(order.step, registry, order.folder, device, channel, _stop())
            channel.send("measured", measured=measured)
        case FloorOrder():
            channel.send("measured", measured=measure_floor(order.floor, registry, device, channel))


def _stop() -> Callable[[], bool]:
    """Whether to stop, from now on: the user asked for it, or somebody else has what this process slept over."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop_waiting_when(stop.is_set)
    return lambda: stop.is_set() or lost()


def _listen(orders: "SimpleQueue[str]") -> None:
    """Hears orders, and ends this process with its parent."""
    for line in sys.stdin:
        orders.put(line)
    os._exit(1)


def _log_to(path: Path) -> None:
    """Everything printed from here on, by us or by a plugin, goes to the log, as a terminal may show it.

    But for what does not pass through Python's streams, such as the words of a compiled library.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.stdout, sys.stderr = News(sys.stdout), News(sys.stderr)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


if __name__ == "__main__":
    main()
