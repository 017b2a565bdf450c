"""The process in which one run happens: `python -m bench.running.child`, started by `bench.running.executors`.

Its peak memory is its own, and its crash is one failed row. It reads its order as one line from standard input, sends
events as lines of JSON to standard output, and logs to the run's log.txt. Standard input stays open as long as the
parent lives; when it closes, the child ends too, so that no orphan holds the run.
"""

import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

import torch

from bench.errors import Interrupted
from bench.plugins import Registry
from bench.running.failures import reason_of
from bench.running.forecasting import foresee
from bench.running.runner import Run
from bench.running.workplace import Place
from bench.spec import Job
from bench.stages import Owned


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
    """Does the run that standard input orders and reports how it ended."""
    channel = Channel(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _work(order, channel)
    except Exception as error:  # what has no record: no room for a log, a folder that cannot be written
        logging.getLogger("bench").exception("the run could not be attempted")
        channel.send("failed", reason=reason_of(error))


def _work(order: dict[str, Any], channel: Channel) -> None:
    job = Job.from_json(order["job"])
    place = _place(order, channel)
    _log_to(Path(os.devnull) if order["trial"] else place.runs / job.spec.name / "log.txt")
    if place.device.type == "cuda":
        torch.cuda.set_device(place.device)
    try:
        registry = Registry(order["plugins"])
        if order["trial"]:
            channel.send("forecast", forecast=foresee(job, registry, place).to_json())
            return
        record = Run(job, registry, place, order["retry"]).complete()
    except Owned as error:
        channel.send("owned", reason=str(error))
    except Interrupted as error:
        channel.send("interrupted", reason=str(error))
    else:
        channel.send("record", record=record.to_json())


def _place(order: dict[str, Any], channel: Channel) -> Place:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return Place(
        runs=Path(order["runs"]),
        cache=Path(order["cache"]),
        data_root=Path(order["data_root"]),
        device=torch.device(order["device"]),
        progress=channel,
        should_stop=stop.is_set,
        checkpoint_seconds=order["checkpoint_seconds"],
    )


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _log_to(path: Path) -> None:
    """Everything printed from here on, by us or by a plugin, goes to the run's log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


if __name__ == "__main__":
    main()
