"""What a file of tensors holds by name, looked at before it is read."""

from abc import ABC, abstractmethod

from torch import Tensor

Shape = tuple[int, ...]


class Held(ABC):
    """What a file holds by name."""

    @abstractmethod
    def names(self) -> list[str]:
        """Of everything in it."""

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    @abstractmethod
    def about(self, name: str) -> tuple[Shape, int]:
        """The shape of a tensor and its bytes in memory, before any is read.

        Raises:
            ValueError: it is no tensor; the message ends a sentence about it.
        """

    @abstractmethod
    def read(self, name: str) -> Tensor:
        """The tensor, on the CPU."""
