"""What a recovery engine is, and finding one by name.

An engine holds a frozen network and a recipe and recovers one batch of images at a time. All engines minimise the same
loss from the same start under the same views; they differ in how the arithmetic is arranged.
"""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from bench.condensation import Task
from bench.recovery.recipes import EngineName, RecoveryRecipe
from bench.recovery.reference import ReferenceEngine


class Engine(Protocol):
    """Recovers images."""

    def recover(self, task: Task, targets: Tensor, seed: int) -> Tensor:
        """Recovers one image for each of the targets, together as one batch.

        Args:
            task: gives the loop, the device, the precision and the valid box of pixels.
            targets: int64 (B,), class indices.
            seed: of the initial noise and of every view.

        Returns:
            float32 (B, C, H, W) in the dataset's normalised space, inside the valid box.
        """


ENGINES: dict[EngineName, Callable[[nn.Module, RecoveryRecipe], Engine]] = {"reference": ReferenceEngine}


def engine_for(network: nn.Module, recipe: RecoveryRecipe) -> Engine:
    """The engine that the recipe names, over a network that it freezes.

    Raises:
        RunFailure: the network has no BatchNorm.
    """
    return ENGINES[recipe.engine](network, recipe)
