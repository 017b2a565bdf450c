"""Where the teachers of labels are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

Facts = Mapping[str, Any]
Weights = Sequence[Path | None]  # the file of each teacher beside a set, None where it is not kept there
TeacherMode = Literal["eval", "train", "train-halves"]  # how a teacher labels: see `bench.training.teachers.in_mode`
Combine = Literal["mean", "equal-norm"]  # of several teachers' logits (see `bench.training.teachers.together`)


@dataclass(frozen=True)
class TeacherRef:
    """A squeezed teacher kept as a stage: enough to find it, and to build its network again.

    Attributes:
        stage: content hash of the stage that holds its weights.
        backbone: name of its network.
        top1: its own accuracy on the test split, in percent (None where there was no test split to try).
        bytes: size of its weights, which a user of online labels must keep.
        file: where a set that was read keeps them beside its images; no part of what is written down or compared.
    """

    stage: str
    backbone: str
    top1: float | None
    bytes: int
    file: Path | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """What a manifest keeps of it."""
        return {name: value for name, value in asdict(self).items() if name != "file"}


def teacher_facts(facts: Facts) -> list[Facts]:
    """What a manifest keeps of each teacher of its labels, in order; nothing of labels without teachers."""
    named = facts.get("teachers") or [facts.get("teacher")]
    return [each for each in named if each is not None]


def teachers_from(facts: Facts, weights: Weights) -> list[TeacherRef]:
    """The teachers that a manifest names. Raises LookupError where it names none."""
    named = teacher_facts(facts) or [facts["teacher"]]
    return [TeacherRef(**each, file=file) for each, file in zip_longest(named, weights)]
