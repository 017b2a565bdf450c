"""What the images of a condensed set are labelled with.

A kind of labels is a subclass of `Labels`, which says of itself all that others ask: what is kept of it, who made it,
what a user must keep. How a student is trained on it is `bench.training.soft_labels.targets`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from bench.labels.contract import Labels as Labels
from bench.labels.contract import Tensors
from bench.labels.forms import FLOAT16, LOGITS, LogitForm, form_from
from bench.labels.own import HardLabels as HardLabels
from bench.labels.own import RegressionLabels as RegressionLabels
from bench.labels.own import SoftLabels as SoftLabels
from bench.labels.own import not_distributions as not_distributions
from bench.labels.own import not_targets as not_targets
from bench.labels.teachers import Combine as Combine
from bench.labels.teachers import Facts as Facts
from bench.labels.teachers import TeacherMode as TeacherMode
from bench.labels.teachers import TeacherRef as TeacherRef
from bench.labels.teachers import Weights as Weights
from bench.labels.teachers import teacher_facts as teacher_facts
from bench.labels.teachers import teachers_from

VIEWS = "views."  # how the names of recorded views begin among the tensors of stored labels


@dataclass(frozen=True)
class _TeachersLabels(Labels):
    """Soft labels of one teacher, or of several together.

    Attributes:
        teacher: the first.
        temperature: divides the teachers' and the student's logits before the softmax (SRe2L section 3.3: 20).
        others: further teachers of this or other backbones, given by name.
        combine: what is made of their logits: their "mean", or the mean after all were scaled to "equal-norm" (G-VBSM).
        shares: how much each teacher counts in that mean, in their order and 1 in all; () where all count alike.
        mode: in "train" a teacher's BatchNorm normalises by each batch of views, in "train-halves" by half of one.
    """

    teacher: TeacherRef
    temperature: float
    others: tuple[TeacherRef, ...] = field(default=(), kw_only=True)
    combine: Combine = field(default="mean", kw_only=True)
    shares: tuple[float, ...] = field(default=(), kw_only=True)
    mode: TeacherMode = field(default="eval", kw_only=True)
    has_temperature: ClassVar[bool] = True

    @property
    def teachers(self) -> tuple[TeacherRef, ...]:
        """All of them."""
        return (self.teacher, *self.others)

    @property
    def combination(self) -> Combine:
        """As `combine` says."""
        return self.combine

    @property
    def votes(self) -> tuple[float, ...]:
        """As `shares` says."""
        return self.shares

    def softened(self, temperature: float) -> Self:
        """Logits are what is kept or made, so any temperature will do."""
        return replace(self, temperature=temperature)

    @property
    def facts(self) -> dict[str, Any]:
        """One teacher is a `teacher`; several are `teachers`, which who knows of one alone must not read as one.

        What is not the usual is said.
        """
        named = [teacher.to_json() for teacher in self.teachers]
        who = {"teachers": named} if self.others else {"teacher": named[0]}
        combine = {"combine": self.combine} if self.combine != "mean" else {}
        shares = {"shares": list(self.shares)} if self.shares else {}
        mode = {"teacher_mode": self.mode} if self.mode != "eval" else {}
        return {"kind": self.kind, **who, "temperature": self.temperature, **combine, **shares, **mode}

    @classmethod
    def _made_by(cls, facts: Facts, weights: Weights) -> dict[str, Any]:
        """The fields that both kinds have, from a manifest. Raises LookupError where no teacher is named."""
        first, *others = teachers_from(facts, weights)
        how = {"combine": facts.get("combine", "mean"), "mode": facts.get("teacher_mode", "eval")}
        shares = tuple(facts.get("shares") or ())
        return {"teacher": first, "temperature": facts["temperature"], "others": tuple(others), "shares": shares, **how}


@dataclass(frozen=True)
class OnlineLabels(_TeachersLabels):
    """Soft labels made while training: each teacher sees each augmented view."""

    kind: ClassVar[str] = "online"
    needs_teachers: ClassVar[bool] = True
    mode: TeacherMode = "eval"

    @classmethod
    def from_facts(cls, facts: Facts, tensors: Tensors, weights: Weights) -> "OnlineLabels":
        """Raises LookupError where no teacher is named."""
        return cls(**cls._made_by(facts, weights))


@dataclass(frozen=True)
class StoredLabels(_TeachersLabels):
    """Soft labels made once for every view of every epoch (FKD, Shen and Xing 2022), or for some of them.

    Attributes:
        teacher, temperature, others, combine, shares, mode: as of `OnlineLabels`; to train on them nobody needs the
            teachers.
        view_seed: seed of the counter-based views; with the recipe it reproduces every crop, flip and mix.
        recipe: the training recipe whose views were labelled, as JSON; training with other views is refused.
        logits: (epochs, images, classes), fp16, row i of an epoch belonging to the i-th image of that epoch's order. Of
            another `form` what it keeps under this name; where a part is kept (kept batches, images of a batch, ...).
        views: where the labels come from elsewhere, the views that were labelled, as they were written down (see
            `bench.training.soft_labels.recorded.RecordedViews`); `view_seed` and `recipe` then say nothing. None for
            our own.
        form: in which logits are kept.
        beside: what the form keeps beside `logits`, by name.
        keep: the share of all batches of views whose labels are kept (see `bench.training.soft_labels.pools`).
    """

    kind: ClassVar[str] = "stored"
    of_views: ClassVar[bool] = True
    view_seed: int
    recipe: dict[str, object]
    logits: Tensor
    views: Mapping[str, Tensor] | None = None
    form: LogitForm = field(default=FLOAT16, kw_only=True)
    beside: Mapping[str, Tensor] = field(default_factory=dict, kw_only=True)
    keep: float = field(default=1.0, kw_only=True)

    @classmethod
    def from_facts(cls, facts: Facts, tensors: Tensors, weights: Weights) -> "StoredLabels":
        """Raises LookupError where no teacher is named, or a tensor of the form is not there."""
        views = {name.removeprefix(VIEWS): tensor for name, tensor in tensors.items() if name.startswith(VIEWS)}
        form = form_from(facts)
        return cls(
            **cls._made_by(facts, weights),
            view_seed=facts["view_seed"],
            recipe=facts["recipe"],
            logits=tensors[LOGITS],
            views=views or None,
            form=form,
            beside={name: tensors[name] for name in form.parts(0) if name != LOGITS},
            keep=facts.get("keep", 1.0),
        )

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The logits in their form, and the views where they were written down."""
        views = {f"{VIEWS}{name}": tensor for name, tensor in (self.views or {}).items()}
        return {LOGITS: self.logits, **self.beside, **views}

    @property
    def facts(self) -> dict[str, Any]:
        """With what reproduces the views; how much of the labels is kept and in which form, if not all as they are."""
        return {**super().facts, "view_seed": self.view_seed, "recipe": self.recipe, **self.budget}

    @property
    def budget(self) -> dict[str, Any]:
        """What was done to keep fewer bytes: the form and the share; nothing of all labels in fp16."""
        return {**self.form.facts, **({"keep": self.keep} if self.keep < 1 else {})}

    def softened(self, temperature: float) -> Self:
        """Raises ValueError: the form keeps what one temperature needs of the logits."""
        if self.form.of_a_temperature:
            raise ValueError(f"labels stored as {self.form.store} are of temperature {self.temperature:g} alone")
        return super().softened(temperature)

    def read(self, epoch: int, part: slice, device: torch.device) -> Tensor:
        """The logits (B, K) of a part of an epoch, or of a kept batch, on a device."""
        held = {LOGITS: self.logits, **self.beside}
        return self.form.decode({name: each[epoch, part].to(device, non_blocking=True) for name, each in held.items()})

    def unfit(self, images: int, classes: int) -> str:
        """Whether the logits are of these classes; how many views there are is a matter of the recipe."""
        return self.form.unfit(self.tensors, classes)


_ALL: tuple[type[Labels], ...] = (HardLabels, SoftLabels, RegressionLabels, OnlineLabels, StoredLabels)
KINDS: Mapping[str, type[Labels]] = {each.kind: each for each in _ALL}


def labels_from(facts: Facts, tensors: Tensors, weights: Weights = ()) -> Labels:
    """The labels that a manifest and a set's tensors keep: the inverse of `facts` and `tensors`, of whatever kind.

    Raises:
        LookupError, TypeError: nobody knows the kind, or something is not there.
    """
    return KINDS[facts["kind"]].from_facts(facts, tensors, weights)
