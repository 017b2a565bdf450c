"""The gradients of FRePo's loss by the images and their targets, in one network of the pool, in two ways."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench.compiling import Workload, compiled_where_it_pays, example_images
from bench.condensation import Task
from bench.training.features import Penultimate, Weights, check_headless, headless, weights_of
from bench.training.loop import place
from bench_frepo.regression import by_autograd, in_closed_form, margin_loss

SAVED = 0.3  # of a step, by compiling: what surrounds the convolutions
PIXELS = 2**21  # of the synthetic images that keep a graph at a time: 2,048 of 32 pixels, about 3 GB of FRePo's conv

Features = Callable[[Weights, Tensor], Tensor]


@dataclass(frozen=True)
class Gradients:
    """Of the loss.

    Attributes:
        regression, margin: its two terms, scalars.
        by_images: (N, C, S, S).
        by_targets: (N, K).
    """

    regression: Tensor
    margin: Tensor
    by_images: Tensor
    by_targets: Tensor

    def by_term(self) -> Tensor:
        """(2,), the terms."""
        return torch.stack([self.regression, self.margin])


class Engine(ABC):
    """Computes the gradients in a network in evaluation mode: BatchNorm goes by its running statistics.

    Args:
        task: the backbone, and the arithmetic of forward passes; all else is fp32.
        regulariser: of the kernel.
        flip: the regression is fitted to the images and their mirror images, which share their targets.
        margin: with the term of the margins.
    """

    def __init__(self, task: Task, *, regulariser: float, flip: bool, margin: bool) -> None:
        self.task, self.regulariser, self.flip, self.margin = task, regulariser, flip, margin

    @abstractmethod
    def ready(self, steps: int, synthetic: int, real: int) -> None:
        """Called before the first of so many steps, with so many synthetic images and real ones: time to compile."""

    @abstractmethod
    def gradients(
        self, network: nn.Module, images: Tensor, targets: Tensor, real: Tensor, classes: Tensor
    ) -> Gradients:
        """Of the loss.

        Args:
            images, targets: the synthetic (N, C, S, S), (N, K).
            real, classes: a batch (m, C, S, S) of real images and their centred classes (m, K).
        """

    def _with_margins(self, loss: Tensor, targets: Tensor, by_images: Tensor, by_copies: Tensor) -> Gradients:
        """All of it, from the derivative by the targets of the images and of their mirror images."""
        by_targets = by_copies.unflatten(0, (-1, len(targets))).sum(0).float()
        if not self.margin:
            return Gradients(loss.float(), torch.zeros_like(loss).float(), by_images, by_targets)
        leaf = targets.detach().requires_grad_()
        margin = margin_loss(leaf)
        by_targets += torch.autograd.grad(margin, [leaf])[0]
        return Gradients(loss.float(), margin.detach(), by_images, by_targets)

    def joined(self, images: Tensor) -> Tensor:
        """The images, and behind them their mirror images."""
        return torch.cat([images, images.flip(3)]) if self.flip else images


class ReferenceEngine(Engine):
    """As the release computes: one graph, autograd through the factorisation, nothing compiled."""

    def ready(self, steps: int, synthetic: int, real: int) -> None:
        """Nothing to compile."""

    def gradients(
        self, network: nn.Module, images: Tensor, targets: Tensor, real: Tensor, classes: Tensor
    ) -> Gradients:
        features = Penultimate(network)
        with torch.no_grad(), self.task.autocast():
            seen = features(real)
        leaf = images.detach().requires_grad_()
        with self.task.autocast():
            synthetic: Tensor = features(self.joined(leaf))
        copies = targets.detach().repeat(1 + self.flip, 1)
        loss, pull, by_copies = by_autograd(seen, synthetic.detach(), copies, classes, self.regulariser)
        (by_images,) = torch.autograd.grad(synthetic, [leaf], pull.to(synthetic.dtype))
        return self._with_margins(loss, targets, by_images, by_copies)


class FastEngine(Engine):
    """The same, arranged for the hardware.

    The derivatives by the features in closed form, from one factorisation; forward passes compiled for one batch of
    real and of synthetic images, with weights as arguments, so that one code serves all networks of the pool; where
    synthetic images are too many for one graph, features first and then a part of the images after another.

    On one core of an AMD EPYC (AVX-512 BF16, no AMX) that others were using, torch 2.14: the derivatives are had 1.5,
    1.7 and 2.4 times as fast as by autograd for 200, 1,000 and 2,000 images of 8,192 features. On CIFAR-10 at ten
    images a class, in fp32, convolutions are nearly all of a step, and both engines are level: 46.6 ms an
    image-iteration by the reference and 51.6 compiled, where convolutions alone take 43.5. A run compiles only what it
    finds to be faster.
    """

    def __init__(self, task: Task, *, regulariser: float, flip: bool, margin: bool) -> None:
        super().__init__(task, regulariser=regulariser, flip=flip, margin=margin)
        whole = place(task.network(task.seed_for("template")), task).requires_grad_(False)
        self._template = headless(place(task.network(task.seed_for("template")), task)).requires_grad_(False)
        check_headless(self._template, whole, example_images(task, 2))
        self._template.eval()
        self._names = frozenset(weights_of(self._template))
        self._features: Features = self._plain_features

    def ready(self, steps: int, synthetic: int, real: int) -> None:
        """Compiles the forward pass."""
        weights, size = weights_of(self._template), min(synthetic * (1 + self.flip), self._part(synthetic))
        shown, leaf = example_images(self.task, real), example_images(self.task, size)

        def step(features: Features) -> None:
            with torch.no_grad(), self.task.autocast():
                features(weights, shown)
            found, pixels = self._of(features, weights, leaf)
            torch.autograd.grad(found, [pixels], torch.ones_like(found))

        work = Workload("regress features", self._template, tuple(shown.shape), steps, SAVED)
        self._features = compiled_where_it_pays(self.task, work, self._plain_features, step)

    def gradients(
        self, network: nn.Module, images: Tensor, targets: Tensor, real: Tensor, classes: Tensor
    ) -> Gradients:
        weights = {name: each.detach() for name, each in weights_of(network).items() if name in self._names}
        with torch.no_grad(), self.task.autocast():
            seen = self._features(weights, real)
        joined = self.joined(images.detach())
        parts = joined.split(self._part(len(images)))
        graphs = [self._of(self._features, weights, part) for part in parts] if len(parts) == 1 else []
        synthetic = torch.cat([graph[0].detach() for graph in graphs] or [self._apart(weights, part) for part in parts])
        copies = targets.detach().repeat(1 + self.flip, 1)
        loss, pull, by_copies = in_closed_form(seen, synthetic, copies, classes, self.regulariser)
        again = graphs or (self._of(self._features, weights, part) for part in parts)
        pulls = zip(again, pull.float().split([len(part) for part in parts]), strict=True)
        by_joined = torch.cat([torch.autograd.grad(found, [leaf], given)[0] for (found, leaf), given in pulls])
        return self._with_margins(loss, targets, self._folded(by_joined), by_copies)

    def _part(self, images: int) -> int:
        """How many synthetic images keep a graph at a time: all, or a divisor, since each size is compiled anew."""
        return _largest_divisor(images * (1 + self.flip), max(1, PIXELS // self.task.dataset.resolution**2))

    def _of(self, features: Features, weights: Weights, images: Tensor) -> tuple[Tensor, Tensor]:
        """The features of some images (B, C, S, S), and the leaf of their graph."""
        leaf = images.detach().requires_grad_()
        with self.task.autocast():
            return features(weights, leaf), leaf

    @torch.no_grad()
    def _apart(self, weights: Weights, images: Tensor) -> Tensor:
        with self.task.autocast():
            return self._features(weights, images)

    def _folded(self, by_joined: Tensor) -> Tensor:
        """The derivative by the images, from that by them and their mirror images."""
        if not self.flip:
            return by_joined
        own, mirrored = by_joined.chunk(2)
        return own + mirrored.flip(3)

    def _plain_features(self, weights: Weights, images: Tensor) -> Tensor:
        found: Tensor = functional_call(self._template, weights, (images,))
        return found.flatten(1).float()


@cache  # asked for at each step
def _largest_divisor(count: int, most: int) -> int:
    return max(size for size in range(1, min(count, most) + 1) if count % size == 0)


ENGINES: dict[str, type[Engine]] = {"fast": FastEngine, "reference": ReferenceEngine}
