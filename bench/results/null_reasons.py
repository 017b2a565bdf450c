"""Why a number of a finished row is null: what cannot be said is never 0, and a reader is told why it is missing."""

from collections.abc import Mapping
from typing import Any

UNITERATED = "no image is updated step by step; see the time per image"
TOO_SHORT = "the loop has no steps beyond the warm-up"
IMPORTED = "the images were made elsewhere"
TEACHER_ELSEWHERE = "what the labels need was made elsewhere"
HARD = "hard labels: nothing is labelled"
SHARED = "the protocol's teacher labels every view while students train"
NO_TEACHER = "no teacher labels for it"
UNSEEN = "the set's own labels have no teacher that was at hand, or the run is older than the field"
UNTRIED = "its labels' teachers were not at hand to be tried, or come from where their accuracy was not kept"
FEW_CLASSES = "fewer than six classes"
LAST_ONLY = "the protocol looks at the last epoch alone"
UNSHARED = "evaluations share no stage"
NOT_APART = "the scores are older than the field; it is part of evaluation_s"
ONE_TRAINING = "one training has no spread"


def reasons(row: Mapping[str, Any]) -> dict[str, str]:
    """The reason for each null number of a row that is done, by its field; nothing for other rows."""
    if row["status"] != "done":
        return {}
    taught = row.get("teacher_backbone") or row.get("teacher_top1") is not None
    said = {
        "prepare_s": IMPORTED if row.get("synthesis_s") is None else TEACHER_ELSEWHERE,
        "synthesis_s": IMPORTED,
        "seconds_per_image": IMPORTED,
        "peak_memory_bytes": IMPORTED,
        **dict.fromkeys(("iterations", "warm_up_s", "ms_per_image_iteration"), _unmetered(row)),
        "label_s": SHARED if row["label_kind"] == "teacher" else HARD,
        "teacher_top1": UNTRIED if taught else NO_TEACHER,
        "teacher_on_set": UNSEEN if taught else NO_TEACHER,
        "top5_mean": FEW_CLASSES,
        "best_top1_mean": LAST_ONLY,
        "top1_std": ONE_TRAINING,
        "evaluation_prepare_s": NOT_APART if row["label_kind"] == "teacher" else UNSHARED,
        "evaluation_warm_up_s": NOT_APART,
    }
    return {name: reason for name, reason in said.items() if row.get(name) is None}


def _unmetered(row: Mapping[str, Any]) -> str:
    if row.get("synthesis_s") is None:
        return IMPORTED
    return UNITERATED if row.get("iterations") is None else TOO_SHORT
