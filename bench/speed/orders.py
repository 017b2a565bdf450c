"""The work of `bench speed` that is done in processes of its own."""

from dataclasses import dataclass
from pathlib import Path

from bench.running.executors.orders import Order
from bench.speed.floor import FloorSpec
from bench.speed.measuring import StepSpec


@dataclass(frozen=True)
class StepOrder(Order):
    """Time a method's step. `folder` is for its stages and checkpoints, and is thrown away by whoever gave it."""

    work = "step"
    step: StepSpec
    folder: Path


@dataclass(frozen=True)
class FloorOrder(Order):
    """Time the floor of a backbone."""

    work = "floor"
    floor: FloorSpec
