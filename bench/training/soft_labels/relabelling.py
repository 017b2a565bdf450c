"""Relabelling by the networks that a method squeezed, with the hyper-parameters that many methods share."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from bench.condensation import Images, MethodConfig, Task
from bench.errors import UsageError
from bench.labels import Combine, Labels, OnlineLabels, TeacherMode
from bench.labels.forms import FLOAT16, Int8, LogitForm, Store, TopK
from bench.recipes import Setting
from bench.training.recipes import TrainingRecipe
from bench.training.soft_labels.stored import store_labels
from bench.training.teachers import Teacher


class Relabel(MethodConfig):
    """How the images get soft labels, and how much of stored ones is kept.

    Attributes:
        temperature: divides the logits of teacher and student (SRe2L section 3.2: 20; Table 10b: 30 on CIFAR-100).
        labels: "online" (the teacher sees each view while the student trains) or "stored" (FKD: made once for every
            view that the paper's protocol will show).
        teacher_mode: "eval", or as in the code for CIFAR "train": its BatchNorm normalises by each batch of views;
            or "train-halves": by each half of it, as in the code of CV-DD.
        keep: of stored labels the share of all batches that is kept, and drawn from with replacement (LPLD: 0.025, its
            40-fold compression; see `bench.training.soft_labels.pools`).
        store: the form of stored labels: "fp16", "int8" (half the bytes) or "top-k" (see `bench.labels.forms`).
        top_k: how many logits "top-k" keeps (FKD: 5).
    """

    added: ClassVar[frozenset[str]] = frozenset({"keep", "store", "top_k"})

    temperature: float = Field(default=20.0, gt=0)
    labels: Literal["online", "stored"] = "online"
    teacher_mode: TeacherMode = "eval"
    keep: float = Field(default=1.0, gt=0, le=1)
    store: Store = "fp16"
    top_k: int = Field(default=5, ge=1)

    @model_validator(mode="after")
    def _budget_is_of_stored_labels(self) -> "Relabel":
        if self.labels == "online" and (self.keep < 1 or self.store != "fp16"):
            raise ValueError('keep and store are of stored labels: relabel.labels="stored"')
        return self

    def form(self, classes: int) -> LogitForm:
        """The form of stored labels of so many classes."""
        if self.store == "top-k":
            return TopK(self.top_k, classes)
        return Int8() if self.store == "int8" else FLOAT16


class CommitteeRelabel(Relabel):
    """The same by several networks.

    Attributes:
        combine: what is made of their logits: the "mean", or that of logits scaled to "equal-norm" (G-VBSM on
            ImageNet-1K; see `bench.training.teachers.together`).
    """

    combine: Combine = "mean"


def check_relabel(setting: Setting, relabel: Relabel) -> None:
    """The largest logits must be fewer than all. Raises UsageError, one line that says how many there may be."""
    if relabel.store == "top-k" and relabel.top_k >= setting.classes:
        raise UsageError(
            f"relabel.top_k {relabel.top_k} is not below the {setting.classes} classes in use; "
            f"--set relabel.top_k={setting.classes - 1} is the most, and store=fp16 keeps all"
        )


def relabel_images(
    task: Task,
    teachers: Sequence[Teacher],
    images: Images,
    relabel: Relabel,
    student: TrainingRecipe,
    *,
    combine: Combine = "mean",
    shares: Sequence[float] = (),
) -> Labels:
    """Labels of the images by these teachers, made while students train or stored for what `student` will show.

    Args:
        student: the recipe of the method's own protocol.
        combine, shares: what is made of the logits of several teachers (see `bench.training.teachers.together`).

    Raises:
        Interrupted, RunFailure, OSError: see `bench.training.soft_labels.stored.store_labels`.
    """
    first, *others = [teacher.ref for teacher in teachers]
    if relabel.labels == "online":
        made = (first, relabel.temperature, relabel.teacher_mode)
        return OnlineLabels(*made, others=tuple(others), combine=combine, shares=tuple(shares))
    return store_labels(
        task,
        teachers,
        images,
        student,
        temperature=relabel.temperature,
        view_seed=task.seed_for("relabel"),
        mode=relabel.teacher_mode,
        combine=combine,
        shares=shares,
        form=relabel.form(task.classes),
        keep=relabel.keep,
    )
