"""Rows and floors one after the other, each in a process of its own, so that none disturbs another's measurement."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.errors import Interrupted
from bench.extensions.registry import Registry
from bench.hardware.choices import Precision
from bench.progress import Progress
from bench.running.executors.orders import Order
from bench.running.executors.processes import Ended, run_child
from bench.speed.floor import FloorSpec
from bench.speed.orders import FloorOrder, StepOrder
from bench.speed.planning import Planned
from bench.speed.rows import RowResult
from bench.storage.shared.scratch import SPEED, scratch_folder

LOG = "speed.log"


@dataclass(frozen=True)
class Session:
    """Where the work is done and who watches. Whatever the children print goes to `log`.

    A child that takes more than `timeout` seconds is stopped: a failed row, or a row without a floor.
    """

    registry: Registry
    device: torch.device
    cache: Path
    progress: Progress
    timeout: float | None = None

    @property
    def log(self) -> Path:
        """What the children of the latest session printed."""
        return self.cache / LOG

    def run(self, rows: Sequence[Planned]) -> Iterator[RowResult]:
        """Measures the rows in order, yielding how each ended.

        Machines drift, so a floor is measured before the first row that is held against it and after each. An outcome
        is complete when all rows have been yielded.

        Raises:
            Interrupted: the user asked to stop.
        """
        self.cache.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        floors: dict[FloorSpec, list[float]] = {}
        for row in rows:
            if row.floor and row.floor not in floors:
                floors[row.floor] = self._floor(row.floor)
            outcome = self._outcome(row)
            if row.floor:
                outcome.floors = floors[row.floor]
            yield outcome
            if row.floor:
                floors[row.floor] += self._floor(row.floor)

    def _outcome(self, row: Planned) -> RowResult:
        if row.step is None:
            return RowResult(row, "skipped", row.skipped)
        with scratch_folder(self.cache, SPEED, self.progress) as scratch:
            child = self._child(StepOrder, row.step.precision, step=row.step, folder=Path(scratch))
        if child.event != "measured" or not isinstance(child.facts["measured"], dict):
            return RowResult(row, "failed", child.reason)
        return RowResult(row, "done", None, child.facts["measured"])

    def _floor(self, spec: FloorSpec) -> list[float]:
        """One value, or none with a warning: a row is worth having without it."""
        child = self._child(FloorOrder, spec.precision, floor=spec)
        if child.event == "measured" and not isinstance(child.facts["measured"], dict):
            return [float(child.facts["measured"])]
        self.progress.warn(f"no floor for {spec.backbone}: {child.reason}")
        return []

    def _child(self, kind: type[Order], precision: Precision, **more: Any) -> Ended:  # noqa: ANN401 - the kind's fields
        plugins = tuple(self.registry.extra)
        order = kind(log=self.log, plugins=plugins, device=str(self.device), precision=precision, **more)
        child = run_child(order, self.cache, self.progress, self.timeout)
        if child.stopped:  # pressed when nothing was left to stop
            raise Interrupted("stopped")
        return child
