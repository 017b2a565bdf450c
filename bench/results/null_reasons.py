"""Why a number of a finished row is null; what is not known is never 0."""

from collections.abc import Callable
from typing import Protocol

UNITERATED = "no image is updated step by step; see the time per image"
TOO_SHORT = "the loop ends before a window of steps beyond the warm-up does"
IMPORTED = "the images were made elsewhere"
TEACHER_ELSEWHERE = "what the labels need was made elsewhere"
HARD = "hard labels: nothing is labelled"
SHARED = "the protocol's teacher labels every view while students train"
NO_TEACHER = "no teacher labels for it"
UNSEEN = "the set's own labels have no teacher that was at hand, or the run is older than the field"
UNTRIED = "its labels' teachers were not at hand to be tried, or come from where their accuracy was not kept"
UNWEIGHED = "the record is older than the number, or the protocol's teacher is kept as no stage"
OTHER_METRICS = "the protocol measures something else"
FEW_CLASSES = "fewer than six classes"
LAST_ONLY = "the protocol looks at the last epoch alone"
UNSHARED = "evaluations share no stage"
NOT_APART = "the scores are older than the field; it is part of evaluation_s"
ONE_SET = "one set has no deviation over sets"
UNWATCHED = "the system does not say it, or the record is older than the field"
OLDER = "the record is older than the field"
SETS_DIFFER = "the sets of this mean differ in it"
ONE_TRAINING = "one training has no spread"


class Nulls(Protocol):
    """What reasons look at, of a row."""

    @property
    def label_kind(self) -> str | None: ...
    @property
    def prepare_s(self) -> float | None: ...
    @property
    def synthesis_s(self) -> float | None: ...
    @property
    def iterations(self) -> int | None: ...
    @property
    def top1_mean(self) -> float | None: ...
    @property
    def teacher_backbone(self) -> str | None: ...
    @property
    def teacher_top1(self) -> float | None: ...


def of_top1(reason: str) -> Callable[[Nulls], str]:
    """Of what goes with top-1: the reason, of rows that have a top-1."""
    return lambda row: OTHER_METRICS if row.top1_mean is None else reason


def unmetered(row: Nulls) -> str:
    """Of a loop's numbers."""
    if row.synthesis_s is None:
        return IMPORTED
    return UNITERATED if row.iterations is None else TOO_SHORT


def unprepared(row: Nulls) -> str:
    """Of what comes before the images."""
    return IMPORTED if row.synthesis_s is None else TEACHER_ELSEWHERE


def unkept(row: Nulls) -> str:
    """Of what is known of stages alone."""
    return unprepared(row) if row.prepare_s is None else OLDER


def unlabelled(row: Nulls) -> str:
    """Of the time that labels take."""
    return SHARED if row.label_kind == "teacher" else HARD


def unshared(row: Nulls) -> str:
    """Of the stages that evaluations share."""
    return NOT_APART if row.label_kind == "teacher" else UNSHARED


def untaught(row: Nulls) -> str:
    """Of the teacher's own accuracy."""
    return UNTRIED if _taught(row) else NO_TEACHER


def unseen(row: Nulls) -> str:
    """Of the teacher on the set."""
    return UNSEEN if _taught(row) else NO_TEACHER


def _taught(row: Nulls) -> bool:
    return bool(row.teacher_backbone) or row.teacher_top1 is not None
