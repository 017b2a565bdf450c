"""Loops that keep nothing between their steps, such as one pass over images: shown, stoppable, tried by a dry run.

A synthesis that updates its images runs in `Task.iterations` instead, which meters and checkpoints it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.errors import Interrupted
from bench.progress import Throttled

if TYPE_CHECKING:
    from bench.condensation import Task


def walk(task: "Task", what: str, count: int) -> Iterator[int]:
    """Yields 0..count-1; in a trial only the first of them.

    Args:
        what: the name shown beside the progress.

    Raises:
        Interrupted: the user asked to stop.
    """
    progress = Throttled(task.progress)
    for step in task.pace.walk(what, 0, count):
        if task.should_stop():
            raise Interrupted(f"stopped after {step} of {count} steps of {what}")
        yield step
        progress.advance(what, step + 1, count)
