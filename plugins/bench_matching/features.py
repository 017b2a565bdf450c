"""DM's loss: the squared distance between mean features of real and synthetic images, summed over the classes.

    L = sum_c || mean_i f(A_c(x_i^c)) - mean_j f(A_c(s_j^c)) ||^2

f gives the input of the last linear layer of a network with new random weights in every iteration, A_c is a siamese
augmentation. A network without BatchNorm sees every image apart, so its classes may go through it in any company. One
with BatchNorm normalises by the batch, and that holds all classes, the real and the synthetic apart (release).
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from math import ceil

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench import seeds
from bench.compiling import Workload, compiled_where_it_pays, example_images
from bench.condensation import Task
from bench.training.features import Penultimate, Weights, check_headless, headless, weights_of
from bench.training.loop import place
from bench_matching import siamese
from bench_matching.networks import normalises_by_batch
from bench_matching.reals import PIXELS, Reals, classes_together
from bench_matching.siamese import Drawings

# Of a step, by compiling: what surrounds the convolutions. In bf16 convolutions are a smaller part (0.67 on a Xeon).
SAVED, SAVED_IN_BF16 = 0.3, 0.6
# Bytes of one channel of the images that go through a network at once. What a layer makes of so many stays in a core's
# cache: a ConvNet-3 on two cores of a Xeon, 2 MiB each, takes 0.7 of the time that 2,560 images of 32 pixels take at
# once in fp32, 0.5 in bf16.
BYTES_TOGETHER = {"cpu": 2**17}

Means = Callable[[Weights, Tensor], Tensor]
Augment = Callable[[Tensor], Tensor]


class FeatureMatching(ABC):
    """The gradient of the loss with respect to the synthetic images.

    Args:
        task: the classes, the backbone, and the arithmetic of forward passes.
        reals: where real images come from.
        batch_real: how many of each class.
        strategy: of the augmentation (see `bench_matching.siamese`).
    """

    def __init__(self, task: Task, reals: Reals, batch_real: int, strategy: str) -> None:
        self.task, self.reals, self.batch_real, self.strategy = task, reals, batch_real, strategy
        self._network_seed = task.seed_for("network")
        self._reals_seed, self._drawings_seed = task.seed_for("reals"), task.seed_for("drawings")

    @abstractmethod
    def ready(self, iterations: int) -> None:
        """Called before the first of so many iterations: time to compile."""

    @abstractmethod
    def gradient(self, images: Tensor, iteration: int) -> Tensor:
        """dL/d images, of their shape: float32 (classes, ipc, C, S, S)."""

    def network(self, iteration: int) -> nn.Module:
        """The network of an iteration, in training mode; its weights need no gradient."""
        network = self.task.network(seeds.derive(self._network_seed, iteration))
        return place(network, self.task).requires_grad_(False)

    def drawings(self, iteration: int) -> Drawings:
        """The augmentations of an iteration."""
        task = self.task
        return siamese.draw(self.strategy, task.classes, task.dataset.resolution, self._drawings_seed, iteration)

    def augmented_reals(self, drawings: Drawings, part: slice, iteration: int) -> Tensor:
        """float32 (G, n, C, S, S): the batches of real images of the classes drawings.order[part]."""
        real = self.reals.batch(drawings.order[part], self.batch_real, self._reals_seed, iteration)
        return drawings.apply(real, part.start)

    def parts(self, network: nn.Module, size: int) -> Sequence[slice]:
        """How the classes go through the network, `size` at a time; all at once where it normalises by the batch."""
        classes = self.task.classes
        size = classes if normalises_by_batch(network) else size
        return [slice(start, start + size) for start in range(0, classes, size)]


class ReferenceMatching(FeatureMatching):
    """As the release computes: the classes one by one, all in one graph."""

    def ready(self, iterations: int) -> None:
        """Nothing to compile."""

    def gradient(self, images: Tensor, iteration: int) -> Tensor:
        network, drawings = self.network(iteration), self.drawings(iteration)
        features = Penultimate(network)
        leaf, order = images.detach().requires_grad_(), drawings.on(images.device)
        loss = torch.zeros((), device=leaf.device)
        for part in self.parts(network, 1):
            real = self.augmented_reals(drawings, part, iteration)
            synthetic = drawings.apply(leaf[order[part]], part.start)
            with torch.no_grad():
                target = self._means(features, real)
            loss = loss + (self._means(features, synthetic) - target).square().sum()
        return torch.autograd.grad(loss, [leaf])[0]

    def _means(self, features: nn.Module, images: Tensor) -> Tensor:
        """float32 (G, d): mean features of each class."""
        with self.task.autocast():
            found: Tensor = features(images.flatten(0, 1))
        return _means_of(found, images)


class FastMatching(FeatureMatching):
    """The same, arranged for the hardware.

    As many classes at once as do good, or of one class as many real images; no graph for these, and one a part for
    synthetic ones; forward passes compiled where that pays; the next network is drawn while the device works.
    """

    def __init__(self, task: Task, reals: Reals, batch_real: int, strategy: str) -> None:
        super().__init__(task, reals, batch_real, strategy)
        self._template = self._checked_template()
        self._means: Means = self._mean_features
        self._upcoming: tuple[int, Weights] | None = None
        self._pixels = _most_pixels(task)
        self._real_parts = self._parts_of(reals.batch_size(batch_real))
        self._at_once = self._at_once_of(reals.batch_size(batch_real))
        self._synthetic_parts = self._parts_of(task.ipc)

    def ready(self, iterations: int) -> None:
        """Compiles the forward pass, for real and for synthetic images."""
        weights = weights_of(self._template)
        real = example_images(self.task, self._real_parts[0].stop, self.reals.batch_size(self.batch_real))
        synthetic = example_images(self.task, self._synthetic_parts[0].stop, self.task.ipc)

        def step(means: Means) -> None:
            self._apart(means, weights, real)
            self._pull(means, weights, synthetic, lambda images: images, 0)

        steps = iterations * len(self._real_parts)
        saved = SAVED_IN_BF16 if self.task.precision == "bf16" else SAVED
        work = Workload("match features", self._template, tuple(real.shape), steps, saved)
        self._means = compiled_where_it_pays(self.task, work, self._mean_features, step)

    def gradient(self, images: Tensor, iteration: int) -> Tensor:
        weights, drawings = self._weights(iteration), self.drawings(iteration)
        targets = self._targets(weights, drawings, iteration)
        order = drawings.on(images.device)
        ordered, gradient = images.detach()[order], torch.empty_like(images)
        pulls = [
            self._pull(self._means, weights, ordered[part], partial(drawings.apply, start=part.start), targets[part])
            for part in self._synthetic_parts
        ]
        gradient[order] = torch.cat(pulls)
        self._upcoming = iteration + 1, weights_of(headless(self.network(iteration + 1)))
        return gradient

    def _targets(self, weights: Weights, drawings: Drawings, iteration: int) -> Tensor:
        """float32 (classes, d): mean features of the real images, in the drawings' order."""
        reals = (self.augmented_reals(drawings, part, iteration) for part in self._real_parts)
        return torch.cat([self._apart(self._means, weights, real) for real in reals])

    @torch.no_grad()
    def _apart(self, means: Means, weights: Weights, images: Tensor) -> Tensor:
        """Mean features without a graph, of some images of each class at a time."""
        count = images.shape[1]
        with self.task.autocast():
            found = [means(weights, some) * (some.shape[1] / count) for some in images.split(self._at_once, 1)]
        return torch.stack(found).sum(0)

    def _pull(
        self, means: Means, weights: Weights, images: Tensor, augment: Augment, targets: Tensor | float
    ) -> Tensor:
        """The gradient of the distance with respect to images (G, n, C, S, S)."""
        leaf = images.detach().requires_grad_()
        augmented = augment(leaf)
        with self.task.autocast():
            found = means(weights, augmented)
        return torch.autograd.grad((found - targets).square().sum(), [leaf])[0]

    def _mean_features(self, weights: Weights, images: Tensor) -> Tensor:
        """float32 (G, d): mean features of images (G, n, C, S, S) in the network of these weights."""
        found: Tensor = functional_call(self._template, weights, (images.flatten(0, 1),))
        return _means_of(found, images)

    def _checked_template(self) -> nn.Module:
        whole = self.network(0)
        template = headless(copy.deepcopy(whole))
        check_headless(template, whole, example_images(self.task, 2))
        return template

    def _weights(self, iteration: int) -> Weights:
        if self._upcoming is not None and self._upcoming[0] == iteration:
            return self._upcoming[1]
        return weights_of(headless(self.network(iteration)))

    def _parts_of(self, count: int) -> Sequence[slice]:
        """Parts of the most classes that a batch holds, with `count` images of each."""
        pixels = count * self.task.dataset.resolution**2
        return self.parts(self._template, classes_together(self.task.classes, self._pixels // pixels))

    def _at_once_of(self, count: int) -> int:
        """How many of `count` images of a class go through the network at once: all where it normalises by the batch.

        A last part may be smaller. Each size is compiled apart.
        """
        if normalises_by_batch(self._template):
            return count
        return ceil(count / ceil(count * self.task.dataset.resolution**2 / self._pixels))


def _most_pixels(task: Task) -> int:
    """Of the images that go through a network at once."""
    held = BYTES_TOGETHER.get(task.device.type)
    return PIXELS if held is None else held // (2 if task.precision == "bf16" else 4)


def _means_of(features: Tensor, images: Tensor) -> Tensor:
    """float32 (G, d), from features of images (G, n, C, S, S), which went through a network in one row."""
    groups: Tensor = features.flatten(1).float().unflatten(0, images.shape[:2])
    return groups.mean(1)
