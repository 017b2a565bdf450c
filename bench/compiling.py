"""torch.compile, where it pays: the choice, and why it was made.

Compiling takes seconds to minutes; a short run is done before that. So a few steps are timed without it, and the time
that it would save is held against the time that it would take. The choice is kept as a stage, so that a continued run
goes on with the same arithmetic, bit for bit; and it stands in the record. What was compiled is kept in the cache
folder (`bench.running.executors`), so that later runs of the same shapes take a fraction of the time.
"""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn

from bench.condensation import Task
from bench.errors import RunFailure
from bench.files import digest
from bench.stages import Made

F = TypeVar("F", bound=Callable[..., Any])

VERSION = 1
WARM_UP, TIMED = 2, 5  # steps
COMPILING_CALLS = 2  # the first compiles
FIXED_S, LAYER_S = 6.0, 0.3  # what compiling takes on two cores: once, and for each layer of the network


@dataclass(frozen=True)
class Workload:
    """What might be compiled.

    Attributes:
        what: the loop's name.
        network: all that a step goes through; compiling takes longer with each layer.
        shape: of a batch.
        steps: how many there will be in all.
        saved: the share of a step's time that compiling takes away at least (see tests/benchmarks).
    """

    what: str
    network: nn.Module
    shape: tuple[int, ...]
    steps: int
    saved: float


@dataclass(frozen=True)
class Choice:
    """Whether steps are compiled, and why."""

    compiled: bool
    why: str


def compiled_where_it_pays(task: Task, work: Workload, function: F, step: Callable[[F], object]) -> F:
    """The function compiled for fixed shapes, or as it is; noted in `task.facts["compiled"]` under the loop's name.

    A compiled function has been compiled when this returns. What cannot be compiled runs as it is, with a warning.

    Args:
        task: keeps the choice; its `compile` "always" and "never" are obeyed, "auto" is measured.
        work: how much there is to do.
        function: of tensors; what it does may depend on their shapes alone.
        step: makes a step with a function and changes nothing that matters.

    Raises:
        RunFailure: "always" where nothing can be compiled. What torch.compile raises, where that was asked for.
    """
    choice = _choice(task, work, lambda: step(function))
    if choice.compiled:
        function, choice = _compiled(task, work, function, step, choice)
    task.facts.setdefault("compiled", {})[work.what] = asdict(choice)
    return function


def missing_compiler(device: torch.device) -> str | None:
    """What torch.compile lacks here, or None."""
    if device.type == "cuda":
        return None if find_spec("triton") else "Triton is not installed"
    names = (os.environ.get("CXX"), "g++", "clang++")
    return None if any(name and shutil.which(name) for name in names) else "no C++ compiler (g++, clang++) is installed"


def _compiled(task: Task, work: Workload, function: F, step: Callable[[F], object], choice: Choice) -> tuple[F, Choice]:
    from torch._dynamo.exc import TorchDynamoException  # slow to import

    fast = cast(F, torch.compile(function, dynamic=False))  # no CUDA graphs: their memory hides from the peak
    task.progress.advance(f"compile {work.what}", 0, 1)
    try:
        for _ in range(COMPILING_CALLS):
            step(fast)
    except TorchDynamoException as error:
        if task.compile == "always":
            raise
        why = f"could not be compiled: {str(error).strip().splitlines()[0]}"
        task.progress.warn(f"{work.what} {why}")
        return function, Choice(False, why)
    return fast, choice


def _choice(task: Task, work: Workload, step: Callable[[], object]) -> Choice:
    lacking = missing_compiler(task.device)
    if task.compile == "always" and lacking:
        raise RunFailure(f"nothing can be compiled here: {lacking}")
    if task.compile != "auto":
        return Choice(task.compile == "always", "as asked for")
    if lacking:
        return Choice(False, lacking)
    compile_s = FIXED_S + LAYER_S * len(list(work.network.modules()))

    def make(_: Path) -> Made:
        return Made({}, asdict(_weighed(_seconds_of(step, task.device), work, compile_s)))

    amount = {"steps": work.steps, "saved": work.saved, "compile_s": compile_s}
    key = {"what": work.what, "network": digest(str(work.network)), "shape": work.shape, **amount}
    apart = replace(task, used_stages={})  # these seconds belong to the warm-up, not to what the method prepares
    return Choice(**apart.stage("compile-choice", VERSION, key, make).facts)


def _weighed(step_s: float, work: Workload, compile_s: float) -> Choice:
    saved_s = work.saved * step_s * work.steps
    amounts = f"compiling saves about {saved_s:.0f} s and takes about {compile_s:.0f} s"
    return Choice(saved_s > compile_s, f"{work.steps} steps of {1000 * step_s:.3g} ms: {amounts}")


def _seconds_of(step: Callable[[], object], device: torch.device) -> float:
    """The mean of a few steps after a few others."""
    for _ in range(WARM_UP):
        step()
    began = _now(device)
    for _ in range(TIMED):
        step()
    return (_now(device) - began) / TIMED


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
