"""torch.compile, where it pays: the choice and its reason, and the compiling itself, timed apart.

Compiling takes seconds to minutes; a short run is done before that. So a few steps are timed without it, and the time
that it would save is held against the time that it would take. The choice is kept as a stage, so that a continued run
goes on with the same arithmetic, bit for bit; and it stands in the record.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from bench.condensation import Task
from bench.errors import RunFailure
from bench.stages import Made

F = TypeVar("F", bound=Callable[..., Any])

VERSION = 1
WARM_UP, TIMED = 2, 5  # steps
SAVED = 0.4  # of a step's time, at least, that compiling takes away (see tests/benchmarks)
FIXED_S, LAYER_S = 8.0, 0.4  # what compiling takes on two cores: once, and for each layer of the network


@dataclass(frozen=True)
class Workload:
    """What might be compiled.

    Attributes:
        what: the loop's name.
        steps: how many there will be in all.
        layers: of all networks that a step goes through; compiling takes longer with each.
        identity: what tells this work from other work of the same name (JSON values).
    """

    what: str
    steps: int
    layers: int
    identity: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """Whether steps are compiled, and why."""

    compiled: bool
    why: str


def compiled_where_it_pays(task: Task, function: F, work: Workload, step: Callable[[F], object]) -> F:
    """The function, compiled for fixed shapes or as it is.

    A compiled function has been compiled when this returns: it was called through `step`. The choice is noted in
    `task.facts["compiled"]`.

    Args:
        task: keeps the choice; its `compile` "always" and "never" are obeyed, "auto" is measured.
        function: of tensors; what it does must depend on their shapes alone.
        work: how much there is to do.
        step: makes one step with a function, on example inputs; has no effect otherwise.

    Raises:
        RunFailure: "always" where nothing can be compiled.
    """
    choice = _choose(task, work, lambda: step(function))
    task.facts.setdefault("compiled", {})[work.what] = asdict(choice)
    if not choice.compiled:
        return function
    mode = "reduce-overhead" if task.device.type == "cuda" else None
    fast = cast(F, torch.compile(function, dynamic=False, mode=mode))
    task.progress.advance(f"compiling {work.what}", 0, 1)
    for _ in range(WARM_UP):
        step(fast)
    return fast


def missing_compiler(device: torch.device) -> str | None:
    """What torch.compile lacks here, or None."""
    if device.type == "cuda":
        return None if find_spec("triton") else "Triton is not installed"
    names = (os.environ.get("CXX"), "g++", "clang++")
    return None if any(name and shutil.which(name) for name in names) else "no C++ compiler (g++, clang++) is installed"


def _choose(task: Task, work: Workload, step: Callable[[], object]) -> Choice:
    lacking = missing_compiler(task.device)
    if task.compile == "always" and lacking:
        raise RunFailure(f"nothing can be compiled here: {lacking}")
    if task.compile != "auto":
        return Choice(task.compile == "always", "as asked for")
    if lacking:
        return Choice(False, lacking)
    compile_s = FIXED_S + LAYER_S * work.layers

    def make(_: Path) -> Made:
        return Made({}, asdict(_weighed(_seconds_of(step, task.device), work.steps, compile_s)))

    key = {"what": work.what, "steps": work.steps, "compile_s": compile_s, **work.identity}
    apart = replace(task, used_stages={})  # these seconds belong to the warm-up, not to what the method prepares
    return Choice(**apart.stage("compile-choice", VERSION, key, make).facts)


def _weighed(step_s: float, steps: int, compile_s: float) -> Choice:
    saved_s = SAVED * step_s * steps
    amounts = f"compiling saves about {saved_s:.0f} s and takes about {compile_s:.0f} s"
    return Choice(saved_s > compile_s, f"{steps} steps of {1000 * step_s:.3g} ms: {amounts}")


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
