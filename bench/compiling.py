"""torch.compile, where it pays: the choice, and why it was made.

Compiling takes seconds to minutes; a short run is done before that. So a few steps are timed without it, and the time
that it should save is held against the time that it would take. Once compiled, steps of both kinds are timed in turn,
and the faster kind is made. The choice is kept in the cache, so that a continued run goes on with the same arithmetic,
bit for bit; and it stands in the record. What was compiled is kept there as well (`bench.running.executors.processes`),
so that later runs of the same shapes take a fraction of the time. What is lacking to compile says nothing of other
runs: that nothing was compiled for it is kept beside the checkpoints of the work under way, which ends as it began.

A dry run has some seconds for each loop (`bench.loops.pace.Trial`), and compiling cannot be interrupted. Where it
should take longer it is left to the run, and counted with what it should take and save.
"""

import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from bench import seeds
from bench.condensation import Task
from bench.errors import Interrupted, RunFailure, why
from bench.hardware.devices import model_name
from bench.hardware.meters import synchronize
from bench.loops.iterations import window
from bench.loops.pace import Postponed
from bench.progress import COMPILING
from bench.storage.artefacts import UNSTAMPED, Kind, Part, unchanged, whole_or_aside
from bench.storage.files import clean_leftovers, digest
from bench.storage.shared.leases import locked
from bench.storage.shared.stages import CHOICES

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Step = Callable[[], object]

VERSION = 3
WARM_UP, TIMED = 2, 5  # steps, windows of them
ENOUGH_S = 4.0  # seconds of trying after which one of each is enough: steps that take seconds differ little
COMPILING_CALLS = 2  # the first compiles
RECOMPILATIONS = 256  # of one function for other networks and shapes; torch allows 8
FIXED_S, LAYER_S = 6.0, 0.3  # what compiling takes on two cores: once, and for each layer of the network
AGAIN = 0.3  # of that, where it was compiled before


@dataclass(frozen=True)
class Workload:
    """What might be compiled.

    Attributes:
        what: the loop's name.
        network: all that a step goes through; compiling takes longer with each layer.
        shape: of a batch.
        steps: how many there will be in all.
        saved: the share of a step's time that compiling is expected to take away.
    """

    what: str
    network: nn.Module
    shape: tuple[int, ...]
    steps: int
    saved: float


class Choice(Part):
    """Whether steps are compiled, and why."""

    compiled: bool
    why: str


CHOICE_FILE = Kind("whether to compile", 1, Choice, {UNSTAMPED: unchanged})


def compiled_where_it_pays(task: Task, work: Workload, function: F, step: Callable[[F], object]) -> F:
    """The function compiled for fixed shapes, or as it is.

    A compiled function has been compiled when this returns. What cannot be compiled as a whole runs as it is, with a
    warning. `task.measured.compiled` holds the choice under the loop's name, and the seconds it took to make it true.

    Args:
        task: keeps the choice. Its `compile` "always" and "never" are obeyed, "auto" is measured, and "possible"
            compiles what can be, without asking whether it pays.
        work: how much there is to do.
        function: of tensors; what it does may depend on their shapes alone.
        step: makes a step with a function and changes nothing that matters.

    Raises:
        RunFailure: "always" where nothing can be compiled. What torch.compile raises, where that was asked for.
    """
    compiled = compiled_in_place(task, work, function, step, lambda: step(function))
    return function if compiled is None else compiled


def compiled_in_place(task: Task, work: Workload, function: F, step: Callable[[F], object], plain: Step) -> F | None:
    """The same for a function that is written to be compiled, and runs in no other way.

    Args:
        plain: makes the step as it is made where the function is not compiled; this is what compiling must save on.

    Returns:
        The function compiled, or None where plain steps are to be made.
    """
    began, begun = time.perf_counter(), _begun(task, work)
    kept = begun or _kept(task, task.stages.choice(_name(task, work)))
    if _is_left_to_the_run(task, work, kept):
        return None
    decided = begun or _asked_for(task)
    known, compiled = decided or kept, None
    choice = known or _estimated(_seconds_of(plain, task.device), work)
    if choice.compiled:
        compiled, choice = _compiled(task, work, function, step, choice)
    if compiled is not None and known is None:
        choice = _measured(choice, partial(step, compiled), plain, task.device)
        compiled = compiled if choice.compiled else None
    if task.compile == "auto" and not begun:
        _keep(task, work, choice, shared=decided is None)
    seconds = time.perf_counter() - began
    task.pace.ready(seconds)
    if not task.stages.making:  # else it is part of the stage's cost
        task.measured.compiling_s += seconds
    task.measured.compiled[work.what] = {**choice.to_json(), "seconds": seconds}
    return compiled


def example_images(task: Task, *lead: int) -> Tensor:
    """Noise (*lead, C, S, S) in the shape of the dataset's images, to time and to compile steps with."""
    shape = (*lead, task.dataset.channels, task.dataset.resolution, task.dataset.resolution)
    return torch.randn(shape, generator=seeds.generator("trial")).to(task.device)


def missing_compiler(device: torch.device) -> str | None:
    """What torch.compile lacks here, or None. It looks for a compiler as torch does: CXX, or the system's usual one."""
    if device.type == "cuda" and not find_spec("triton"):
        return "Triton is not installed"
    name = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    return None if shutil.which(name) else f"there is no C++ compiler ({name})"


def _asked_for(task: Task) -> Choice | None:
    """What the user's word or the machine decides; None where it is to be found out."""
    lacking = missing_compiler(task.device)
    if task.compile == "always" and lacking:
        raise RunFailure(f"nothing can be compiled here: {lacking}")
    if task.compile in ("always", "never"):
        return Choice(compiled=task.compile == "always", why="as asked for")
    if lacking:
        return Choice(compiled=False, why=lacking)
    if task.compile == "possible":
        return Choice(compiled=True, why="it can be")
    return None


def _is_left_to_the_run(task: Task, work: Workload, kept: Choice | None) -> bool:
    """Whether compiling should take longer than a trial has; its pace is then told what the run will do."""
    needed_s = _compile_s(work) * (AGAIN if kept else 1.0)
    if needed_s <= task.pace.left_s() or task.compile == "never" or missing_compiler(task.device):
        return False
    if kept and not kept.compiled:
        return False
    certain = task.compile != "auto" or kept is not None
    task.pace.postpone(Postponed(work.what, needed_s, work.saved, certain))
    return True


def _compiled(
    task: Task, work: Workload, function: F, step: Callable[[F], object], choice: Choice
) -> tuple[F | None, Choice]:
    from torch._dynamo import config  # slow to import
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    config.recompile_limit = RECOMPILATIONS
    # One graph or nothing: in pieces it would run, slowly, and count as compiled. No CUDA graphs: a peak misses them.
    fast = cast(F, torch.compile(function, dynamic=False, fullgraph=True))
    try:
        for call in range(COMPILING_CALLS):
            if task.should_stop():
                raise Interrupted(f"stopped while {work.what} was compiled")
            task.progress.advance(f"{COMPILING}{work.what}", call, COMPILING_CALLS)
            step(fast)
    except (TorchDynamoException, FailOnRecompileLimitHit) as error:
        if task.compile == "always":
            raise
        reason = f"could not be compiled: {why(error)}"
        task.progress.warn(f"{work.what} {reason}")
        return None, Choice(compiled=False, why=reason)
    return fast, choice


def _name(task: Task, work: Workload) -> str:
    """Under which a choice is kept: not as a stage, because it costs a method nothing and is made within stages too."""
    amount = {"steps": work.steps, "saved": work.saved, "compile_s": _compile_s(work), "version": VERSION}
    made_on = {"device": model_name(task.device), "precision": task.precision, "threads": torch.get_num_threads()}
    what = {"what": work.what, "network": digest(str(work.network)), "shape": list(work.shape)}
    return f"{digest({**what, **amount, **made_on, 'torch': torch.__version__})}.json"


def _begun(task: Task, work: Workload) -> Choice | None:
    """Not to compile, where the work under way began so for want of what compiling needs."""
    if task.compile != "auto" or (found := _kept(task, _of_this_work(task) / _name(task, work))) is None:
        return None
    return Choice(compiled=found.compiled, why=f"as it began: {found.why}")


def _kept(task: Task, path: Path) -> Choice | None:
    warning = "choice set aside as {}, steps are timed again"
    return whole_or_aside(partial(CHOICE_FILE.read, path), path, task.progress, warning)


def _keep(task: Task, work: Workload, choice: Choice, *, shared: bool) -> None:
    """For all that will use the cache, or for the work under way alone, whose folder no other process cleans."""
    if not shared:
        CHOICE_FILE.write(_of_this_work(task) / _name(task, work), choice.to_json())
        return
    folder = task.stages.choices
    with locked(folder.with_suffix(".lock"), task.progress, wait=True):
        clean_leftovers(folder)
        CHOICE_FILE.write(folder / _name(task, work), choice.to_json())


def _of_this_work(task: Task) -> Path:
    return (task.stages.work or task.workspace) / CHOICES


def _compile_s(work: Workload) -> float:
    return FIXED_S + LAYER_S * len(list(work.network.modules()))


def _estimated(step_s: float, work: Workload) -> Choice:
    """Whether all steps together should save more than compiling should take, from the time of a plain one."""
    saved_s, compile_s = work.saved * step_s * work.steps, _compile_s(work)
    amounts = f"compiling saves about {saved_s:.0f} s and takes about {compile_s:.0f} s"
    return Choice(compiled=saved_s > compile_s, why=f"{work.steps} steps of {1000 * step_s:.3g} ms: {amounts}")


def _measured(choice: Choice, compiled: Step, plain: Step, device: torch.device) -> Choice:
    """Whether compiled steps are the faster ones indeed: the median of a few, each timed after a plain one."""
    pairs = list(_few(lambda: (_seconds(plain, device), _seconds(compiled, device)), TIMED))
    plain_s, compiled_s = (statistics.median(kind) for kind in zip(*pairs, strict=True))
    if compiled_s >= plain_s:
        took = f"compiled, a step takes {1000 * compiled_s:.3g} ms for {1000 * plain_s:.3g} ms"
        return Choice(compiled=False, why=took)
    return Choice(compiled=True, why=f"{choice.why}; it saves {1 - compiled_s / plain_s:.0%} of a step")


def _seconds_of(step: Step, device: torch.device) -> float:
    """The mean of a few steps after a few others, or of one so slow that no warming up shows."""
    *_, latest = _few(lambda: _seconds(step, device), WARM_UP)
    if latest > ENOUGH_S:
        return latest
    return statistics.fmean(_few(lambda: _seconds(step, device), TIMED))


def _few(work: Callable[[], T], most: int) -> Iterator[T]:
    """What so many goes at the work give, or fewer where they take long; one at least."""
    began = time.perf_counter()
    for _ in range(most):
        yield work()
        if time.perf_counter() - began > ENOUGH_S:
            return


def _seconds(step: Step, device: torch.device) -> float:
    """Of a step in a window of them (`bench.loops.iterations.window`)."""
    steps, began = window(device), _now(device)
    for _ in range(steps):
        step()
    return (_now(device) - began) / steps


def _now(device: torch.device) -> float:
    synchronize(device)
    return time.perf_counter()
