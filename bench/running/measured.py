"""What a training measured: held to what its contract says, and put as it is kept."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.condensation import Task
from bench.errors import RunFailure
from bench.evaluation import Protocol, Scores
from bench.results.outcomes import Score
from bench.sets.condensed import CondensedSet

EPOCHS = re.compile(r"epochs \S+ -> (\S+)")  # what the quick budget takes of a recipe (`Recipe.taken`)


def evaluated(protocol: Protocol, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
    """Raises RunFailure: the protocol returned something else than scores."""
    measured = protocol.evaluate(condensed, task, backbone, seed)
    if not isinstance(measured, Scores):
        said = f"evaluate of {type(protocol).__name__} returned a {type(measured).__name__}"
        raise RunFailure(f"{said}; it must return bench.evaluation.Scores")
    return measured


def said_of(measured: Scores, protocol: Protocol, task: Task) -> dict[str, Any]:
    """The scores by name, with their teacher's accuracy and bytes where there is one.

    Protocols from before they could return the accuracy have it from the stage of the teacher that they took.
    """
    if protocol.labels != "teacher":
        return measured.to_json()
    taken = [stage.facts for stage in task.used_stages.values() if "top1" in stage.facts]
    if measured.teacher_top1 is None and taken:
        measured = replace(measured, teacher_top1=taken[-1]["top1"])
    return {**measured.to_json(), "label_bytes": sum(facts.get("bytes", 0) for facts in taken) or None}


def check_comparable(first: Score, other: Score) -> None:
    """Raises RunFailure: two trainings of one evaluation measured different things."""
    if first.measured != other.measured:
        one, two = first.measured, other.measured
        raise RunFailure(f"its trainings measured different metrics: {one} and {two}, primary ones first")
    if first.epochs != other.epochs:
        raise RunFailure(
            f"its trainings took {first.epochs} and {other.epochs} epochs; all of an evaluation take as many"
        )


def primary_of(score: Score) -> str:
    """As "94.99 %"."""
    other = score.metrics.get(score.primary)
    value, unit = (other.value, other.unit) if other else (score.top1, "%")
    return "" if value is None else f"{value:.2f} {unit}".strip()


def true_of(note: str, scores: Sequence[Score]) -> str:
    """What a protocol notes, without epochs other than were trained: stored labels bring as many as they are for."""
    found = [(part, EPOCHS.fullmatch(part)) for part in note.split("; ")]
    trained = {f"{score.epochs:g}" for score in scores}
    return "; ".join(part for part, epochs in found if not (epochs and trained and epochs[1] not in trained))
