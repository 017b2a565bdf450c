"""What a recovery engine is, and the loop that all engines share.

An engine holds a frozen network and a recipe and recovers batches of images. All engines minimise the same loss from
the same start under the same views; they differ in how its gradient is computed.

BN matching ties the images of a batch to one another, so the batch is part of the method. Several batches may be
recovered at once all the same, where a device has room: their statistics, views and starts are kept apart, and each
comes out as if it were alone.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import seeds
from bench.condensation import Task
from bench.loops.checkpoints import State
from bench.recovery.recipes import RecoveryRecipe
from bench.recovery.statistics import batchnorms

ADAM_BETAS = (0.5, 0.9)
ADAM_EPS = 1e-8

Shape = tuple[int, int]  # batches at once, images in each
Gradient = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Batch:
    """Images that are recovered together.

    Attributes:
        targets: int64 (B,), class indices, one an image.
        seed: of the initial noise and of every view.
    """

    targets: Tensor
    seed: int


class Engine(ABC):
    """Recovers images; you must write `gradient`.

    Args:
        network: images (B, C, H, W) -> logits (B, classes). Is put into evaluation mode and frozen.
        recipe: how to recover.

    Raises:
        RunFailure: the network has no BatchNorm.
    """

    def __init__(self, network: nn.Module, recipe: RecoveryRecipe) -> None:
        self.network = network.eval().requires_grad_(False)
        self.recipe = recipe
        self.layers = batchnorms(network)

    def ready(self, task: Task, shapes: Iterable[Shape]) -> None:
        """Told of all that will be recovered, once for each call of `recover`, before the first is measured.

        Makes one gradient of each shape, so that what first use costs (kernels, threads) is in no step and in no peak.
        """
        for groups, size in dict.fromkeys(shapes):
            batches = [Batch(torch.zeros(size, dtype=torch.int64), seed=0)] * groups
            self.gradient(task, batches)(initial_images(task, batches), 0)

    @abstractmethod
    def gradient(self, task: Task, batches: Sequence[Batch]) -> Gradient:
        """The function (images, iteration) -> gradient of each batch's loss under its view of that iteration.

        Images and gradient are float32 (G, B, C, H, W), one group a batch.
        """

    def recover(self, task: Task, batches: Sequence[Batch]) -> Tensor:
        """One image for each target: float32 (G, B, C, H, W) in normalised space, inside the valid box.

        Args:
            task: gives the loop, the device, the precision and the valid box of pixels.
            batches: as many images in each.
        """
        images = initial_images(task, batches).requires_grad_()
        lower, upper = task.dataset.normalisation.box(images)
        adam = torch.optim.Adam([images], lr=self.recipe.lr, betas=ADAM_BETAS, eps=ADAM_EPS, fused=True)
        state: State = {"images": images, "optimizer": adam}
        count = images.shape[0] * images.shape[1]
        gradient = self.gradient(task, batches)
        for iteration in task.iterations(self.recipe.iterations, images=count, state=state, what="recover"):
            adam.param_groups[0]["lr"] = rate(self.recipe, iteration)
            images.grad = gradient(images, iteration).contiguous()  # as the fused Adam reads it
            adam.step()
            with torch.no_grad():
                images.clamp_(lower, upper)
        return images.detach()


def initial_images(task: Task, batches: Sequence[Batch]) -> Tensor:
    """N(0, 1) in normalised space, float32 (G, B, C, H, W); drawn on the CPU, so every device starts alike."""
    dataset = task.dataset
    shape = (dataset.channels, dataset.resolution, dataset.resolution)
    noise = [
        torch.randn((len(batch.targets), *shape), generator=seeds.generator("initial images", batch.seed))
        for batch in batches
    ]
    return torch.stack(noise).to(task.device)


def rate(recipe: RecoveryRecipe, iteration: int) -> float:
    """Adam's rate at an iteration: half a cosine from `lr` to 0."""
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * iteration / recipe.iterations))
