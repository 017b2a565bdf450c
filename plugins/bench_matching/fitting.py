"""DC's inner training: the network learns the synthetic images between two matches, by plain SGD."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.optim import SGD

from bench import seeds
from bench.compiling import Workload, compiled_where_it_pays
from bench.condensation import Task
from bench.training.augmentation import dsa
from bench.training.features import Weights, weights_of

SAVED = 0.2  # of a step, by compiling (`bench.training.loop`)

Forward = Callable[[Weights, Tensor], Tensor]


@dataclass(frozen=True)
class InnerTraining:
    """How the network learns the synthetic images.

    Attributes:
        epochs: over all images, which come in another order each time.
        batch_size: of a step; the last of an epoch takes what is left.
        lr: of SGD without momentum.
        dsa: strategy of augmentation, drawn for each image; "" for none.
    """

    epochs: int
    batch_size: int
    lr: float
    dsa: str


class Fitting:
    """Trains networks of the template's architecture."""

    def __init__(self, task: Task, template: nn.Module, recipe: InnerTraining) -> None:
        self.task, self.recipe = task, recipe
        self._template, self._seed = template.train(), task.seed_for("fitting")
        self._forward: Forward = self._logits

    def ready(self, images: Tensor, times: int) -> None:
        """Compiles the forward pass for whole batches of the images, where so many trainings pay for that."""
        batch = images[: self.recipe.batch_size]
        weights = weights_of(self._template)

        def step(forward: Forward) -> None:
            loss = self._loss(forward, weights, batch, torch.zeros(len(batch), dtype=torch.int64, device=batch.device))
            torch.autograd.grad(loss, list(self._template.parameters()))

        steps = times * self.recipe.epochs * (len(images) // len(batch))
        work = Workload("fit", self._template, tuple(batch.shape), steps, SAVED)
        self._forward = compiled_where_it_pays(self.task, work, self._logits, step)

    def fit(self, network: nn.Module, images: Tensor, classes: Tensor, position: int) -> None:
        """Trains the network, in training mode, on images (N, C, S, S) as they are.

        Args:
            position: in the run; decides the order of the images and their augmentations.
        """
        optimizer, images = SGD(network.parameters(), lr=self.recipe.lr), images.detach()
        weights = weights_of(network)
        whole = min(self.recipe.batch_size, len(images))
        for epoch in range(self.recipe.epochs):
            rng = seeds.counter(self._seed, position, epoch)
            for indices in torch.from_numpy(rng.permutation(len(images))).split(whole):
                chosen = indices.to(images.device, non_blocking=True)
                forward = self._forward if len(chosen) == whole else self._logits  # compiled for one shape
                loss = self._loss(forward, weights, self._augmented(images[chosen], rng), classes[chosen])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()

    def _augmented(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        if not self.recipe.dsa:
            return images
        return dsa.draw(self.recipe.dsa, len(images), images.shape[-1], rng).apply(images)

    def _loss(self, forward: Forward, weights: Weights, images: Tensor, classes: Tensor) -> Tensor:
        with self.task.autocast():
            logits = forward(weights, images)
        return F.cross_entropy(logits.float(), classes)

    def _logits(self, weights: Weights, images: Tensor) -> Tensor:
        logits: Tensor = functional_call(self._template, weights, (images,))
        return logits
