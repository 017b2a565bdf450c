"""The contract of a kind of labels."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from bench.labels.teachers import Combine, Facts, TeacherRef, Weights

Tensors = Mapping[str, Tensor]


class Labels(ABC):
    """Labels of one kind. A kind must write `from_facts`, and what of the rest is not as it is here.

    Attributes:
        kind: its name in manifests, records and tables.
        plain: whether it is the classes of the images and nothing more, which costs nothing to make.
        needs_teachers: whether its teachers must be at hand while a student trains.
        of_views: whether it belongs to the views of one training recipe, and to no others.
        has_temperature: whether it can be had at another temperature (`softened`).
    """

    kind: ClassVar[str]
    plain: ClassVar[bool] = False
    needs_teachers: ClassVar[bool] = False
    of_views: ClassVar[bool] = False
    has_temperature: ClassVar[bool] = False

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
        """Who made it, one or several together."""
        return ()

    @property
    def teachers_in_cache(self) -> tuple[TeacherRef, ...]:
        """Those that must be at hand and lie in the cache alone: of old sets, with which none travels."""
        return tuple(each for each in self.teachers if each.file is None) if self.needs_teachers else ()

    @property
    def combination(self) -> Combine:
        """What is made of the logits of several."""
        return "mean"

    @property
    def votes(self) -> tuple[float, ...]:
        """How much each of several counts; () where all count alike."""
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

    def softened(self, temperature: float) -> "Labels":
        """The same labels at another temperature.

        Raises:
            ValueError: they have none, in words.
        """
        raise ValueError(f"{self.kind} labels have no temperature that could be another")

    def unfit(self, images: int, classes: int) -> str:
        """What is wrong with its tensors for so many images and classes, in words; "" for nothing."""
        return ""
