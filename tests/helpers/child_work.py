"""The work of child processes in this one, for tests of what is made and not of the process that makes it."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from bench.cli.child import KINDS, Channel, obey
from bench.extensions.registry import Registry
from bench.hardware.devices import computing_in
from bench.progress import Progress
from bench.running.executors.events import event_in
from bench.running.executors.orders import Order, order_from
from bench.running.executors.processes import Ended, run_child
from bench.running.failures import reason_of
from bench.storage.shared.leases import stop_waiting_when

OWN_PROCESS = tuple(f"bench.{module}.run_child" for module in ("running.executors.local", "speed.session", "cli.plans"))


@contextmanager
def children_here(*works: str) -> Iterator[None]:
    """Work happens in this process; orders and all that is said have the form that they have between processes.

    Args:
        works: which ("run", "floor", ...; default: all); any other has a process of its own.
    """

    def run(order: Order, *rest: Any) -> Ended:  # noqa: ANN401 - as run_child is called
        here = not works or order.work in works
        return _done_here(order, *rest) if here else run_child(order, *rest)

    with pytest.MonkeyPatch.context() as patch:
        for name in OWN_PROCESS:
            patch.setattr(name, run)
        yield


class _Told(Channel):
    """Passes news on as the parent of a child does, and keeps the last word."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(StringIO())
        self.progress, self.last = progress, ("", dict[str, Any]())

    def send(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - JSON values
        heard = event_in(json.dumps({"event": event, **facts}).encode())
        assert heard, f"no event has this form: {event} {facts}"
        match heard:
            case "progress", facts:
                self.progress.advance(**facts)
            case "warning", facts:
                self.progress.warn(facts["message"])
            case _:
                self.last = heard


def _done_here(order: Order, cache: Path, progress: Progress, timeout: float | None = None) -> Ended:
    told = _Told(progress)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with computing_in(order.precision):
            obey(order_from(json.loads(json.dumps(order.to_json())), KINDS), Registry(order.plugins), told)
    except Exception as error:
        told.send("failed", reason=reason_of(error))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop_waiting_when(lambda: False)
    return Ended(*told.last, status=0, stopped=False)
