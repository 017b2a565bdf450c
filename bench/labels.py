"""What the images of a condensed set are labelled with."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

TeacherMode = Literal["eval", "train"]  # BatchNorm of a teacher that labels: by running statistics, or by each batch
ROUNDING = 1e-3  # how far from 1 the sum of a distribution may be, which may have been kept in fp16


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


@dataclass(frozen=True)
class HardLabels:
    """The class of each image, nothing more."""

    kind: ClassVar[str] = "hard"


@dataclass(frozen=True)
class OnlineLabels:
    """Soft labels made while training: the teacher sees each augmented view.

    `temperature` divides teacher's and student's logits before the softmax (SRe2L section 3.3: 20). In the `mode`
    "train" the teacher's BatchNorm normalises by each batch of views.
    """

    kind: ClassVar[str] = "online"
    teacher: TeacherRef
    temperature: float
    mode: TeacherMode = "eval"


@dataclass(frozen=True)
class StoredLabels:
    """Soft labels made once for every view of every epoch (FKD, Shen and Xing 2022).

    Attributes:
        teacher: who made them (not needed to train on them).
        temperature: as in `OnlineLabels`.
        view_seed: seed of the counter-based views; with the recipe it reproduces every crop, flip and mix.
        recipe: the training recipe whose views were labelled, as JSON; training with other views is refused.
        logits: (epochs, images, classes), fp16, row i of an epoch belonging to the i-th image of that epoch's order.
        views: where the labels come from elsewhere, the views that were labelled, as they were written down (see
            `bench.training.recorded.RecordedViews`); `view_seed` and `recipe` then say nothing. None for our own.
    """

    kind: ClassVar[str] = "stored"
    teacher: TeacherRef
    temperature: float
    view_seed: int
    recipe: dict[str, object]
    logits: Tensor
    views: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class SoftLabels:
    """One distribution over the classes for each image, the same in every view: learned or made with the images.

    `probabilities` is float32 (N, K) in the order of the images; its rows are not negative and sum to 1.
    """

    kind: ClassVar[str] = "soft"
    probabilities: Tensor


Labels = HardLabels | SoftLabels | OnlineLabels | StoredLabels


def not_distributions(probabilities: Tensor, images: int, classes: int) -> str:
    """What is wrong with the `probabilities` of `SoftLabels`, to end a sentence with; "" where nothing is."""
    if tuple(probabilities.shape) != (images, classes):
        return f"have shape {tuple(probabilities.shape)}, not {(images, classes)}"
    if not probabilities.is_floating_point() or not bool(torch.isfinite(probabilities).all()):
        return "are not finite floats"
    if bool((probabilities < 0).any()) or bool(((probabilities.double().sum(1) - 1).abs() > ROUNDING).any()):
        return "are no distributions: a row has negative values or does not sum to 1"
    return ""


def teacher_of(labels: Labels) -> TeacherRef | None:
    """Who made them, where a teacher did."""
    return labels.teacher if isinstance(labels, OnlineLabels | StoredLabels) else None
