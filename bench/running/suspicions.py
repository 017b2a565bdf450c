"""A look at what a stranger's method made, before it is scored: what its author alone would be asked about."""

from bench.condensation import Task
from bench.errors import CorruptArtefact, RunFailure
from bench.progress import DOUBT
from bench.running.failures import reason_of
from bench.sets.condensed import CondensedSet
from bench.sets.suspicions import among_tested, fit_of

# What is wrong with the test images their evaluations say; nothing that a look meets may cost the set.
NO_LOOK = (CorruptArtefact, RunFailure, OSError, ArithmeticError, ValueError, RuntimeError, MemoryError)


def note_suspicions(condensed: CondensedSet, task: Task) -> None:
    """Warns, once, and notes for the row where a set holds images of the test split or labels of other classes.

    The suite's own methods are held to that by its tests.
    """
    try:
        shown = condensed.decoded()
        fit = fit_of(shown, task.dataset)
        found = [among_tested(shown, task.dataset), str(fit) if fit and fit.doubtful else ""]
    except NO_LOOK as error:
        task.progress.warn(f"its images were not held against those that it is tested on: {reason_of(error)}")
        return
    if said := "; ".join(filter(None, found)):
        task.progress.warn(said)
        task.facts[DOUBT] = "; ".join(filter(None, [task.facts.get(DOUBT, ""), said]))
