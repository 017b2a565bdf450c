"""One row: a method's step on random data, timed by the loop's own meter, in a process of its own.

All parts are the real ones: `prepare` (with every loop left out, so that nothing is trained), `warm_up`, and the first
unit's `synthesize`, cut off when enough steps are timed.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bench.condensation import Task
from bench.data.finding import load_card
from bench.data.identity import known_as
from bench.errors import RunFailure
from bench.extensions.registry import Registry
from bench.hardware.allocator import release_memory
from bench.hardware.choices import Compile, Precision
from bench.hardware.meters import memory_in_use
from bench.hardware.waiting import CoreWatch
from bench.loops.iterations import WARM_UP_STEPS
from bench.loops.pace import FirstSteps, Pace
from bench.planning.configuring import build
from bench.progress import Progress
from bench.results.spec import MethodChoice
from bench.running.procedure import Procedure, Synthesized, timed
from bench.running.units import check_images
from bench.speed.random_data import random_dataset
from bench.storage.shared.stages import StageStore

ENOUGH = {"cpu": 20, "cuda": 100}  # timed steps
LEAST = {"cpu": 2, "cuda": 30}  # of them, where steps are slow: one of DC with 200 classes takes minutes on two cores
SECONDS = 120.0  # after which the least is enough
NO_STEPS = FirstSteps(0)


@dataclass(frozen=True)
class StepSpec:
    """What to measure.

    Attributes:
        method: with every hyper-parameter resolved, its batch size and engine among them.
        card: what finds the card of the dataset whose shape the images have.
        classes: how many the random dataset has.
        ipc: images per class.
        compile: None compiles where something can be compiled.
        iterations: timed steps; None: `ENOUGH`, or fewer where they take longer than `SECONDS`, but `LEAST` of them.
    """

    method: MethodChoice
    card: str
    classes: int
    ipc: int
    backbone: str
    precision: Precision
    compile: Compile | None
    iterations: int | None


def measure_step(
    spec: StepSpec,
    registry: Registry,
    folder: Path,
    device: torch.device,
    progress: Progress,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """What was measured, as JSON values.

    Args:
        folder: for stages and checkpoints; is thrown away by whoever gave it.

    Raises:
        RunFailure: no step was timed, or what the method raises.
        Interrupted: the user asked to stop.
    """
    pace = _AfterPreparing(_pace(spec.iterations, device))
    task = _task(spec, registry, folder, device, _Shown(progress, pace), pace, should_stop)
    method = build(registry, spec.method)
    procedure = Procedure(method, task, method)
    procedure.prepare()
    pace.prepared = True
    untrained = dict(task.measured.compiled)
    _, task.times.warm_up_s = timed(procedure.warm_up)
    unit = procedure.units()[0]
    release_memory()
    held = memory_in_use(device)  # a process has grown by the compiler
    watch = CoreWatch()
    made = procedure.measured(unit, timed)
    waited = watch.until_now().share
    check_images(made.images, procedure.task, method, unit.name)
    compiled = {what: each for what, each in task.measured.compiled.items() if each is not untrained.get(what)}
    return {**_measured(task, made, held), "compiled": compiled or None, "waited": {"synthesis": waited}}


def _task(
    spec: StepSpec,
    registry: Registry,
    folder: Path,
    device: torch.device,
    progress: Progress,
    pace: Pace,
    should_stop: Callable[[], bool],
) -> Task:
    workspace = folder / "work"
    workspace.mkdir(parents=True)
    card = load_card(registry, spec.card)
    dataset = random_dataset(card, spec.classes, spec.ipc)
    return Task(
        dataset=replace(dataset, known_as=known_as(registry, card, card.classes)),
        ipc=spec.ipc,
        backbone=spec.backbone,
        device=device,
        precision=spec.precision,
        seed=0,
        budget="paper",
        networks=lambda name: registry.load("backbone", name),
        network_version=lambda name: registry.find("backbone", name).offer.version,
        readers=lambda name: registry.load("reader", name),
        stages=StageStore(folder / "cache", progress),
        workspace=workspace,
        compile=spec.compile or "possible",
        progress=progress,
        should_stop=should_stop,
        checkpoint_seconds=math.inf,
        pace=pace,
    )


@dataclass
class _AfterPreparing(Pace):
    """Leaves out every loop of `prepare`, and compiles none of them; then goes at the pace of what is measured.

    A method may keep the task that it prepared with, to compile with later, so all copies of a task share this.
    """

    measured: FirstSteps
    prepared: bool = False

    @property
    def now(self) -> FirstSteps:
        """The pace at this moment."""
        return self.measured if self.prepared else NO_STEPS

    def walk(self, what: str, start: int, stop: int, *, once: bool = False) -> Iterator[int]:
        return self.now.walk(what, start, stop, once=once)

    def at_least(self, steps: int) -> Pace:
        return self.now.at_least(steps)

    def alike(self, what: str, count: int) -> Iterator[int]:
        return self.now.alike(what, count)

    def left_s(self) -> float:
        """No time to make steps ready that nobody will walk."""
        return self.measured.left_s() if self.prepared else 0.0


@dataclass(frozen=True)
class _Shown:
    """Progress of the loops that are measured, each cut off; of an untrained network there is nothing to say."""

    watcher: Progress
    pace: _AfterPreparing

    def advance(self, what: str, done: int, total: int) -> None:
        if self.pace.prepared:
            self.watcher.advance(what, done, min(total, self.pace.now.most))

    def warn(self, message: str) -> None:
        if self.pace.prepared:
            self.watcher.warn(message)


def _pace(iterations: int | None, device: torch.device) -> FirstSteps:
    if iterations is not None:
        return FirstSteps(WARM_UP_STEPS + iterations)
    return FirstSteps(WARM_UP_STEPS + ENOUGH[device.type], WARM_UP_STEPS + LEAST[device.type], SECONDS)


def _measured(task: Task, made: Synthesized, held: int) -> dict[str, Any]:
    times, memory = task.times, made.memory
    if times.iterations and not times.timed:
        ends = f"its loop ends after {times.iterations} iterations"
        raise RunFailure(f"no step was timed: {ends}, and the first {WARM_UP_STEPS} are warm-up")
    peak = memory.held
    return {
        "images": len(made.images),
        "iterations": times.timed or None,
        "ms_per_image_iteration": times.milliseconds(),
        "peak_memory_bytes": asdict(memory),
        "above_model_bytes": max(0, peak - held),
        "warm_up_s": times.warm_up_s if times.iterations else None,
    }
