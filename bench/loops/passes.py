"""Loops of a task that are not metered: one pass over images, which keeps nothing; a training, which is saved.

A synthesis that updates its images runs in `Task.iterations` instead, which meters it as well.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from bench.loops import checkpoints
from bench.loops.checkpoints import State
from bench.loops.steps import Loop, LoopsTask


def walk(task: LoopsTask, what: str, count: int, *, once: bool = False) -> Iterator[int]:
    """Yields 0..count-1; in a trial only the first of them.

    Args:
        what: the name shown beside the progress.
        once: what the pass makes serves the rest of the process (see `Pace.walk`).

    Raises:
        Interrupted: the user asked to stop.
    """
    return Loop(what, count, task.pace, task.progress, task.should_stop, once=once).walk()


def saved_loop(task: LoopsTask, what: str, count: int, save: Callable[[int], None], *, steps: str = "steps") -> Loop:
    """A loop that is saved when the user asks to stop, and every `task.checkpoint_seconds` (see `Loop`)."""
    watched = (task.pace, task.progress, task.should_stop)
    return Loop(what, count, *watched, steps, save, task.checkpoint_seconds)


def continued(task: LoopsTask, what: str, count: int, checkpoint: Path, state: State) -> Iterator[int]:
    """The steps of such a loop whose state is a checkpoint's: those that are left, once the state is as it was then."""
    facts = checkpoints.restore(checkpoint, state, task.progress)
    loop = saved_loop(task, what, count, lambda done: checkpoints.save(checkpoint, state, {"done": done}))
    return loop.walk(int(facts["done"]) if facts else 0)
