"""What the images of a condensed set are labelled with.

A kind of labels is a subclass of `Labels`, which says of itself all that others ask: what is kept of it, who made it,
what a user must keep. How a student is trained on it is `bench.training.targets`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

Facts = Mapping[str, Any]
Tensors = Mapping[str, Tensor]
Weights = Sequence[Path | None]  # the file of each teacher beside a set, None where it is not kept there
TeacherMode = Literal["eval", "train"]  # BatchNorm of a teacher that labels: by running statistics, or by each batch
ROUNDING = 1e-3  # how far from 1 the sum of a distribution may be, which may have been kept in fp16
VIEWS = "views."  # how the names of recorded views begin among the tensors of stored labels


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


class Labels(ABC):
    """Labels of one kind. A kind must write `from_facts`, and what of the rest is not as it is here.

    Attributes:
        kind: its name in manifests, records and tables.
        plain: whether it is the classes of the images and nothing more, which costs nothing to make.
        needs_teachers: whether its teachers must be at hand while a student trains.
    """

    kind: ClassVar[str]
    plain: ClassVar[bool] = False
    needs_teachers: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def from_facts(cls, facts: Facts, tensors: Tensors, weights: Weights) -> "Labels":
        """The labels of which a manifest keeps these `facts` and a set's file these `tensors`.

        Args:
            weights: where its teachers lie, in their order.

        Raises:
            LookupError, TypeError: something is not there.
        """

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What a set keeps of it beside the classes."""
        return {}

    @property
    def facts(self) -> dict[str, Any]:
        """What a set's manifest says of it."""
        return {"kind": self.kind}

    @property
    def teachers(self) -> tuple[TeacherRef, ...]:
        """Who made it: of several teachers the mean of the logits."""
        return ()

    @property
    def teacher_backbone(self) -> str | None:
        """Its teachers' networks as tables name them: "resnet18 + resnet50"; None without teachers."""
        return " + ".join(teacher.backbone for teacher in self.teachers) or None

    @property
    def bytes(self) -> int:
        """What a user must keep of it beside the classes: tensors, and teachers that label while students train."""
        weights = sum(teacher.bytes for teacher in self.teachers) if self.needs_teachers else 0
        return sum(tensor.nbytes for tensor in self.tensors.values()) + weights

    def unfit(self, images: int, classes: int) -> str:
        """What is wrong with its tensors for so many images and classes, in words; "" for nothing."""
        return ""


@dataclass(frozen=True)
class HardLabels(Labels):
    """The class of each image, nothing more."""

    kind: ClassVar[str] = "hard"
    plain: ClassVar[bool] = True

    @classmethod
    def from_facts(cls, facts: Facts, tensors: Tensors, weights: Weights) -> "HardLabels":
        """As in every kind."""
        return cls()


@dataclass(frozen=True)
class SoftLabels(Labels):
    """One distribution over the classes for each image, the same in every view: learned or made with the images.

    `probabilities` is float32 (N, K) in the order of the images; its rows are not negative and sum to 1.
    """

    kind: ClassVar[str] = "soft"
    probabilities: Tensor

    @classmethod
    def from_facts(cls, facts: Facts, tensors: Tensors, weights: Weights) -> "SoftLabels":
        """As in every kind."""
        return cls(tensors["probabilities"])

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The distributions."""
        return {"probabilities": self.probabilities}

    def unfit(self, images: int, classes: int) -> str:
        """Whether they are distributions of these images over these classes."""
        wrong = not_distributions(self.probabilities, images, classes)
        return f"soft labels {wrong}" if wrong else ""


@dataclass(frozen=True)
class _TeachersLabels(Labels):
    """Soft labels of one teacher, or of several, whose logits are averaged.

    Attributes:
        teacher: the first.
        temperature: divides the teachers' and the student's logits before the softmax (SRe2L section 3.3: 20).
        others: further teachers of this or other backbones, given by name.
    """

    teacher: TeacherRef
    temperature: float
    others: tuple[TeacherRef, ...] = field(default=(), kw_only=True)

    @property
    def teachers(self) -> tuple[TeacherRef, ...]:
        """All of them."""
        return (self.teacher, *self.others)

    @property
    def facts(self) -> dict[str, Any]:
        """One teacher is a `teacher`; several are `teachers`, which who knows of one alone must not read as one."""
        named = [teacher.to_json() for teacher in self.teachers]
        who = {"teachers": named} if self.others else {"teacher": named[0]}
        return {"kind": self.kind, **who, "temperature": self.temperature}


@dataclass(frozen=True)
class OnlineLabels(_TeachersLabels):
    """Soft labels made while training: each teacher sees each augmented view.

    In the `mode` "train" a teacher's BatchNorm normalises by each batch of views.
    """

    kind: ClassVar[str] = "online"
    needs_teachers: ClassVar[bool] = True
    mode: TeacherMode = "eval"

    @classmethod
    def from_facts(cls, facts: Facts, tensors: Tensors, weights: Weights) -> "OnlineLabels":
        """Raises LookupError where no teacher is named."""
        first, *others = _teachers(facts, weights)
        return cls(first, facts["temperature"], facts.get("teacher_mode", "eval"), others=tuple(others))

    @property
    def facts(self) -> dict[str, Any]:
        """The mode is said where it is not the usual one."""
        mode = {"teacher_mode": self.mode} if self.mode != "eval" else {}
        return {**super().facts, **mode}


@dataclass(frozen=True)
class StoredLabels(_TeachersLabels):
    """Soft labels made once for every view of every epoch (FKD, Shen and Xing 2022).

    Attributes:
        teacher, temperature, others: as of `OnlineLabels`; the teachers are not needed to train on them.
        view_seed: seed of the counter-based views; with the recipe it reproduces every crop, flip and mix.
        recipe: the training recipe whose views were labelled, as JSON; training with other views is refused.
        logits: (epochs, images, classes), fp16, row i of an epoch belonging to the i-th image of that epoch's order.
        views: where the labels come from elsewhere, the views that were labelled, as they were written down (see
            `bench.training.recorded.RecordedViews`); `view_seed` and `recipe` then say nothing. None for our own.
    """

    kind: ClassVar[str] = "stored"
    view_seed: int
    recipe: dict[str, object]
    logits: Tensor
    views: Mapping[str, Tensor] | None = None

    @classmethod
    def from_facts(cls, facts: Facts, tensors: Tensors, weights: Weights) -> "StoredLabels":
        """Raises LookupError where no teacher is named."""
        first, *others = _teachers(facts, weights)
        views = {name.removeprefix(VIEWS): tensor for name, tensor in tensors.items() if name.startswith(VIEWS)}
        made = (facts["temperature"], facts["view_seed"], facts["recipe"])
        return cls(first, *made, tensors["logits"], views or None, others=tuple(others))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The logits, and the views where they were written down."""
        return {"logits": self.logits, **{f"{VIEWS}{name}": tensor for name, tensor in (self.views or {}).items()}}

    @property
    def facts(self) -> dict[str, Any]:
        """With what reproduces the views."""
        return {**super().facts, "view_seed": self.view_seed, "recipe": self.recipe}

    def unfit(self, images: int, classes: int) -> str:
        """Whether the logits are of these classes; how many views there are is a matter of the recipe."""
        logits = self.logits
        if logits.ndim == 3 and logits.shape[-1] == classes and logits.is_floating_point():
            return ""
        form = str(logits.dtype).removeprefix("torch.")
        return f"stored labels are {form} {tuple(logits.shape)}, not floats (E, N, K)"


KINDS: Mapping[str, type[Labels]] = {each.kind: each for each in (HardLabels, SoftLabels, OnlineLabels, StoredLabels)}


def labels_from(facts: Facts, tensors: Tensors, weights: Weights = ()) -> Labels:
    """The labels that a manifest and a set's tensors keep: the inverse of `facts` and `tensors`, of whatever kind.

    Raises:
        LookupError, TypeError: nobody knows the kind, or something is not there.
    """
    return KINDS[facts["kind"]].from_facts(facts, tensors, weights)


def teacher_facts(facts: Facts) -> list[Facts]:
    """What a manifest keeps of each teacher of its labels, in order; nothing of labels without teachers."""
    named = facts.get("teachers") or [facts.get("teacher")]
    return [each for each in named if each is not None]


def _teachers(facts: Facts, weights: Weights) -> list[TeacherRef]:
    named = teacher_facts(facts) or [facts["teacher"]]
    return [TeacherRef(**each, file=file) for each, file in zip_longest(named, weights)]


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
    """Who made them, where a teacher did; of several the first (see `Labels.teachers`)."""
    return next(iter(labels.teachers), None)
