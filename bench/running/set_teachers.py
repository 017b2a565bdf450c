"""The teachers that labelled a set: what they make of it, how good they are, and where their weights lie."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from bench.condensation import Task
from bench.labels import Labels, TeacherRef
from bench.sets.condensed import CondensedSet
from bench.training.recognition import recognition
from bench.training.teachers import KIND, load_teachers
from bench.training.testing import accuracy


def recognised(task: Task, condensed: CondensedSet) -> dict[str, float] | None:
    """What the labels' teachers make of the set, where they are here: stored labels may be another machine's."""
    seen, labels = task.seen_through(condensed.preprocessing), condensed.labels
    return recognition(_together(seen, labels), condensed, seen) if _at_hand(task, labels.teachers) else None


def teacher_top1(task: Task, condensed: CondensedSet) -> float | None:
    """Test accuracy of the teacher in percent, which is kept with it; of several together it is measured now."""
    seen, teachers, test = task.seen_through(condensed.preprocessing), condensed.labels.teachers, task.dataset.test
    if len(teachers) < 2:
        return teachers[0].top1 if teachers else None
    if not len(test) or not _at_hand(task, teachers):
        return None
    return accuracy(_together(seen, condensed.labels), test, seen.dataset.normalisation, seen)[0]


def weights_of(task: Task, labels: Labels) -> list[Path]:
    """The files of the teachers that labels need: of a set from elsewhere its own, or else the stages'.

    None for an old set from elsewhere whose teachers are not here; under hard labels it can still be evaluated.
    """
    needed = labels.teachers if labels.needs_teachers else ()
    files = [teacher.file or task.stages.file(KIND, teacher.stage) for teacher in needed]
    return files if all(file.exists() for file in files) else []


def _at_hand(task: Task, teachers: Sequence[TeacherRef]) -> bool:
    """Whether there are teachers, and the weights of all are here."""
    here = [each.file is not None or task.stages.read(KIND, each.stage) is not None for each in teachers]
    return bool(here) and all(here)


def _together(task: Task, labels: Labels) -> nn.Module:
    """Their teachers as one network, weighed as while they label, in evaluation mode whatever mode they label in."""
    return load_teachers(task, labels.teachers, combine=labels.combination, shares=labels.votes)
