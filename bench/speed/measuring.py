"""One row: a method's step on random data, timed by the loop's own meter, in a process of its own.

All parts are the real ones: `prepare` (with every loop left out, so that nothing is trained), `warm_up`, and the first
unit's `synthesize`, cut off when enough steps are timed.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bench.condensation import Images, Task
from bench.data.identity import known_as
from bench.data.opening import load_card
from bench.errors import RunFailure
from bench.extensions.registry import Registry
from bench.hardware.allocator import release_memory
from bench.hardware.choices import Compile, Precision
from bench.hardware.meters import IterationTimes, PeakMemory, memory_in_use, peak_memory, reset_peak_memory
from bench.loops.iterations import WARM_UP_STEPS, window
from bench.loops.pace import FirstSteps
from bench.progress import Progress, Silent
from bench.results.spec import MethodChoice
from bench.running.configuring import build
from bench.running.synthesis import seconds_of
from bench.running.units import check_images
from bench.speed.random_data import random_dataset
from bench.storage.stages import StageStore

ENOUGH = {"cpu": 20, "cuda": 100}  # timed steps
LEAST = {"cpu": 2, "cuda": 30}  # of them, where steps are slow: one of DC with 200 classes takes minutes on two cores
SECONDS = 120.0  # after which the least is enough


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

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "StepSpec":
        """The inverse of `dataclasses.asdict`."""
        return cls(**{**content, "method": MethodChoice.from_json(content["method"])})


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
    task = _task(spec, registry, folder, device, progress, should_stop)
    method = build(registry, spec.method)
    with _without_loops(task):
        method.prepare(task)
    held = memory_in_use(device)
    task.times.warm_up_s = seconds_of(lambda: method.warm_up(task))
    unit = method.units(task)[0]
    release_memory()
    if device.type == "cpu":  # the process has grown by the compiler
        held = memory_in_use(device)
    reset_peak_memory(device)
    images = method.synthesize(task, unit)
    memory = peak_memory(device)
    check_images(images, task, method, unit.name)
    return _measured(task, images, memory, held)


def _task(
    spec: StepSpec,
    registry: Registry,
    folder: Path,
    device: torch.device,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> Task:
    workspace, pace = folder / "work", _pace(spec.iterations, device)
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
        readers=lambda name: registry.load("reader", name),
        stages=StageStore(folder / "cache", progress),
        workspace=workspace,
        compile=spec.compile or "possible",
        progress=_CutOff(progress, pace.most),
        should_stop=should_stop,
        checkpoint_seconds=math.inf,
        pace=pace,
    )


@contextmanager
def _without_loops(task: Task) -> Iterator[None]:
    """Leaves every loop out; what there is to say of what comes of that, nobody hears or records.

    The task itself is changed and changed back: a method may keep the one that it prepared with, to compile with later.
    """
    kept = task.pace, task.compile, task.progress
    task.pace, task.compile, task.progress = FirstSteps(0), "never", Silent()
    yield
    task.pace, task.compile, task.progress = kept
    task.facts.clear()
    task.measured.clear()


@dataclass(frozen=True)
class _CutOff:
    """Progress of loops of which at most so many steps are made."""

    watcher: Progress
    most: int

    def advance(self, what: str, done: int, total: int) -> None:
        self.watcher.advance(what, done, min(total, self.most))

    def warn(self, message: str) -> None:
        self.watcher.warn(message)


def _pace(iterations: int | None, device: torch.device) -> FirstSteps:
    if iterations is not None:
        return FirstSteps(WARM_UP_STEPS + iterations)
    return FirstSteps(WARM_UP_STEPS + ENOUGH[device.type], WARM_UP_STEPS + LEAST[device.type], SECONDS)


def _measured(task: Task, images: Images, memory: PeakMemory, held: int) -> dict[str, Any]:
    times: IterationTimes = task.times
    timed = len(times.windows) * window(task.device)
    if times.iterations and not timed:
        ends = f"its loop ends after {times.iterations} iterations"
        raise RunFailure(f"no step was timed: {ends}, and the first {WARM_UP_STEPS} are warm-up")
    peak = memory.rss if memory.allocated is None else memory.allocated
    return {
        "images": len(images),
        "iterations": timed or None,
        "ms_per_image_iteration": times.milliseconds(),
        "peak_memory_bytes": asdict(memory),
        "above_model_bytes": max(0, peak - held),
        "warm_up_s": times.warm_up_s if times.iterations else None,
        "compiled": task.measured.compiled or None,
    }
