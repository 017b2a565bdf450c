"""Labels without teachers: one row an image, the same in every view."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.labels.contract import Labels, Tensors
from bench.labels.teachers import Facts, Weights

ROUNDING = 1e-3  # how far from 1 the sum of a distribution may be, which may have been kept in fp16


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

    def __post_init__(self) -> None:
        """Raises TypeError: there are none, as of a control's images."""
        _refuse_none(self, "soft")

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
class RegressionLabels(Labels):
    """What a network's outputs for each image are to be by the squared error, the same in every view (FRePo).

    `targets` is float32 (N, K) in the order of the images: numbers of any sign, such as a one-hot vector less its mean,
    and no distributions. Cross-entropy with them would train to chance, so this is a kind of its own, which no code
    takes for soft labels.
    """

    kind: ClassVar[str] = "regression"
    targets: Tensor

    def __post_init__(self) -> None:
        """Raises TypeError: there are none, as of a control's images."""
        _refuse_none(self, "targets")

    @classmethod
    def from_facts(cls, facts: Facts, tensors: Tensors, weights: Weights) -> "RegressionLabels":
        """As in every kind."""
        return cls(tensors["targets"])

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The targets."""
        return {"targets": self.targets}

    def unfit(self, images: int, classes: int) -> str:
        """Whether they are finite, and of these images and classes."""
        wrong = not_targets(self.targets, images, classes)
        return f"regression targets {wrong}" if wrong else ""


def _refuse_none(labels: Labels, of_images: str) -> None:
    (given,) = vars(labels).values()
    if not isinstance(given, Tensor):
        remedy = f"where images.{of_images} is None, as of a control's images, return super().label(task, images)"
        raise TypeError(f"{type(labels).__name__} takes a tensor, not {type(given).__name__}: {remedy}")


def not_distributions(probabilities: Tensor, images: int, classes: int) -> str:
    """What is wrong with the `probabilities` of `SoftLabels`, to end a sentence with; "" where nothing is."""
    if wrong := not_targets(probabilities, images, classes):
        return wrong
    if bool((probabilities < 0).any()) or bool(((probabilities.double().sum(1) - 1).abs() > ROUNDING).any()):
        return "are no distributions: a row has negative values or does not sum to 1"
    return ""


def not_targets(targets: Tensor, images: int, classes: int) -> str:
    """The same of the `targets` of `RegressionLabels`, which may be any numbers."""
    if tuple(targets.shape) != (images, classes):
        return f"have shape {tuple(targets.shape)}, not {(images, classes)}"
    if not targets.is_floating_point() or not bool(torch.isfinite(targets).all()):
        return "are not finite floats"
    return ""
