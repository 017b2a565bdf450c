"""From pixels to what networks see: the contract, and constants for each channel."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from bench.storage.files import digest


class ImageShape(Protocol):
    """What preprocessing must fit, of a dataset: the shape of its images, and the constants of its card."""

    @property
    def channels(self) -> int: ...
    @property
    def resolution(self) -> int: ...
    @property
    def own_normalisation(self) -> "Preprocessing | None": ...


class Preprocessing(ABC):
    """From pixels to what networks see, and back: `Normalisation`, or `bench.whitening.Whitening`.

    You must write all that is abstract. Two are equal when they give the same values.

    Attributes:
        kind: its name in records and tables.
        value_range: what a set's manifest calls the values of images that went through it.
        file: where a set keeps its `tensors`, beside the images; "" for one that has none.
        bounded: whether each value of a valid image has bounds of its own: those of `box`.
        costly: whether it is too much for every step of a training, so that images go through it once for all.
    """

    kind: ClassVar[str]
    value_range: ClassVar[str]
    file: ClassVar[str] = ""
    bounded: ClassVar[bool] = True
    costly: ClassVar[bool] = False

    @abstractmethod
    def apply(self, images: Tensor) -> Tensor:
        """uint8 (..., C, H, W) -> float32, what networks see."""

    @abstractmethod
    def invert(self, images: Tensor) -> Tensor:
        """Float (..., C, H, W) as networks see it -> float pixels, in [0, 1] for images that pixels can show."""

    @abstractmethod
    def box(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper bound of what valid pixels become, shape (C, 1, 1); infinite where no bound is known."""

    @abstractmethod
    def blank(self, like: Tensor) -> Tensor:
        """What is outside an image, as networks see it: (C, 1, 1), for crops that are padded."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Hash of what decides the values: part of the keys of stages made under it."""

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What a set must keep of it in a file: of constants nothing, which its manifest holds."""
        return {}

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What a set's manifest says of it, each field whatever the kind: `mean`, `std` and `zca`."""

    @classmethod
    @abstractmethod
    def from_facts(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Preprocessing":
        """The inverse of `facts` and `tensors`.

        Raises:
            LookupError, TypeError: something is not there.
        """

    @abstractmethod
    def unfit(self, dataset: ImageShape) -> str:
        """Why images that went through it are not for networks on a dataset, in words; "" where they are."""


@dataclass(frozen=True)
class Normalisation(Preprocessing):
    """Per-channel mean and std of pixels in [0, 1]."""

    kind: ClassVar[str] = "normalised"
    value_range: ClassVar[str] = "normalised"
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def _shaped(self, values: tuple[float, ...], like: Tensor) -> Tensor:
        constants = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
        return constants.to(like.device, non_blocking=True)  # made on a GPU, they would wait for it

    def apply(self, images: Tensor) -> Tensor:
        """uint8 (..., C, H, W) -> float32 in normalised space."""
        return (images.float() / 255 - self._shaped(self.mean, images)) / self._shaped(self.std, images)

    def invert(self, images: Tensor) -> Tensor:
        """Float (..., C, H, W) in normalised space -> float pixels, in [0, 1] for images inside the valid box."""
        return images * self._shaped(self.std, images) + self._shaped(self.mean, images)

    def box(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper bound of valid pixels in normalised space: (0 - m) / s and (1 - m) / s, shape (C, 1, 1)."""
        mean, std = self._shaped(self.mean, like), self._shaped(self.std, like)
        return -mean / std, (1 - mean) / std

    def blank(self, like: Tensor) -> Tensor:
        """Black in normalised space: (0 - m) / s, shape (C, 1, 1)."""
        return self.box(like)[0]

    @property
    def digest(self) -> str:
        """Hash of the constants."""
        return digest([list(self.mean), list(self.std)])

    @property
    def facts(self) -> dict[str, Any]:
        """The constants."""
        return {"mean": list(self.mean), "std": list(self.std), "zca": None}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Normalisation":
        """From the constants."""
        return cls(tuple(facts["mean"]), tuple(facts["std"]))

    def unfit(self, dataset: ImageShape) -> str:
        """Its constants must be those of the dataset's card."""
        return "" if self == dataset.own_normalisation else "the set's normalisation constants are not the dataset's"
