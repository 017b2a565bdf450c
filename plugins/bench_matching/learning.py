"""IDC's networks learn real images between two matches: batches dealt from a shuffled training set, SGD."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from bench.compiling import Workload, compiled_where_it_pays, example_images
from bench.condensation import Task
from bench.training import optimizers
from bench.training.features import Weights, weights_of
from bench.training.feeding import Feed
from bench.training.recipes import TrainingRecipe
from bench.training.supervision import HardSupervision
from bench.training.views import Views

SAVED = 0.2  # of a step, by compiling (`bench.training.loop`)

Forward = Callable[[Weights, Tensor], Tensor]


class Learning:
    """Trains networks of the template's architecture on the task's training images.

    Args:
        feed: those images.
        recipe: how; its epochs and schedule play no part.
    """

    def __init__(self, task: Task, template: nn.Module, feed: Feed, recipe: TrainingRecipe) -> None:
        self.task, self.recipe, self._feed = task, recipe, feed
        self._template, self._forward = template.train(), self._logits
        self._views = Views(recipe, task.seed_for("learning"), len(feed), task.dataset.resolution)
        self._supervision = HardSupervision()

    @property
    def batches(self) -> int:
        """Of all training images."""
        return self._views.batches

    def optimizer(self, network: nn.Module) -> Optimizer:
        """The recipe's, new."""
        return optimizers.build(self.recipe, network)

    def ready(self, steps: int) -> None:
        """Compiles the forward pass for whole batches, where so many steps pay for that."""
        images, weights = example_images(self.task, self._views.batch_size), weights_of(self._template)

        def step(forward: Forward) -> None:
            with self.task.autocast():
                logits = forward(weights, images)
            torch.autograd.grad(logits.float().square().mean(), list(self._template.parameters()))

        work = Workload("learn", self._template, tuple(images.shape), steps, SAVED)
        self._forward = compiled_where_it_pays(self.task, work, self._logits, step)

    def learn(self, network: nn.Module, optimizer: Optimizer, first: int, count: int) -> None:
        """Trains the network on `count` batches, of which the first is the run's batch number `first`."""
        weights = weights_of(network.train())
        optimizers.match_layout(optimizer)
        for number in range(first, first + count):
            view = self._views.at(*divmod(number, self._views.batches))
            images, classes = self._feed.seen(view), self._feed.labels(view.indices)
            forward = self._forward if len(view) == self._views.batch_size else self._logits  # compiled for one shape
            with self.task.autocast():
                logits = forward(weights, images)
            loss = self._supervision.loss(logits.float(), None, view, classes)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()

    def _logits(self, weights: Weights, images: Tensor) -> Tensor:
        logits: Tensor = functional_call(self._template, weights, (images,))
        return logits
