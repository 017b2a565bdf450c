"""DC's distance: between the gradients that real and synthetic images of a class give a network's weights.

    D = sum over weights of two or more dimensions, sum over output units, of 1 - cos(real, synthetic)

A unit is a filter of a convolution (all its values in one row) or a row of a linear layer. Biases and the scales of
norms take no part (release), so their gradients are not computed. Another method may measure otherwise (`Measure`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from torch.nn.attention import sdpa_kernel

from bench import seeds
from bench.compiling import Workload, compiled_in_place, example_images
from bench.condensation import Task
from bench.training.features import Weights, weights_of
from bench_matching.networks import TWICE, freeze_statistics, with_standing_norms
from bench_matching.reals import PIXELS, classes_together

EPSILON = 1e-6  # of the release, added to the product of norms
SAVED = 0.5  # of a step, by compiling
WEIGHTS = 2**26  # of the gradients that are held at once for several classes
# Of the images that go through a network at once. On two cores classes of one image of 32 pixels each take 0.6 of the
# time together, and of ten images 1.1; a GPU is filled later.
TOGETHER = {"cpu": 2**14}

Gradients = Sequence[Tensor]


def distance(real: Gradients, synthetic: Gradients) -> Tensor:
    """Scalar D of two lists of gradients; tensors of fewer than two dimensions contribute 0."""
    pairs = zip(real, synthetic, strict=True)
    return torch.stack([_by_units(first, second) for first, second in pairs if first.dim() >= 2]).sum()


def _by_units(first: Tensor, second: Tensor) -> Tensor:
    first, second = first.flatten(1), second.flatten(1)
    norms: Tensor = first.norm(dim=1) * second.norm(dim=1)
    return (1 - (first * second).sum(1) / (norms + EPSILON)).sum()


@dataclass(frozen=True)
class Measure:
    """What is matched.

    Attributes:
        dims: the weights of so many dimensions or more are.
        between: two lists of their gradients -> how far apart they are.
    """

    dims: int
    between: Callable[[Gradients, Gradients], Tensor]


DC = Measure(2, lambda real, synthetic: distance(real, synthetic))


class GradientMatching(ABC):
    """The gradients of classes, and what their distance says to their synthetic images.

    Attributes:
        real_together, synthetic_together: how many classes to give at once; the second is a multiple of the first.
    """

    real_together: int = 1
    synthetic_together: int = 1

    def __init__(self, task: Task, measure: Measure = DC) -> None:
        self.task, self.measure = task, measure

    def matched(self, network: nn.Module) -> list[Tensor]:
        """The weights whose gradients are matched."""
        return [weight for weight in network.parameters() if weight.dim() >= self.measure.dims]

    @abstractmethod
    def ready(self, real: int, synthetic: int, updates: int) -> None:
        """Called before the first of so many updates: time to compile for so many images of a class."""

    @abstractmethod
    def real(self, network: nn.Module, images: Tensor, labels: Tensor) -> Gradients:
        """What images (G, B, C, S, S) of classes (G,) give the weights, (G, ...) each, without a graph."""

    @abstractmethod
    def pull(self, network: nn.Module, images: Tensor, labels: Tensor, real: Gradients) -> Tensor:
        """dD/d images, of their shape, (G, ipc, C, S, S)."""


class ReferenceMatching(GradientMatching):
    """As the release computes: class by class, two graphs, one through the other."""

    def ready(self, real: int, synthetic: int, updates: int) -> None:
        """Nothing to compile."""

    def real(self, network: nn.Module, images: Tensor, labels: Tensor) -> Gradients:
        weights = self.matched(network)
        found = [torch.autograd.grad(self._loss(network, *each), weights) for each in zip(images, labels, strict=True)]
        return [torch.stack(each) for each in zip(*found, strict=True)]

    def pull(self, network: nn.Module, images: Tensor, labels: Tensor, real: Gradients) -> Tensor:
        targets = zip(*real, strict=True)
        return torch.stack([self._pull(network, *each) for each in zip(images, labels, targets, strict=True)])

    def _pull(self, network: nn.Module, images: Tensor, label: Tensor, real: Gradients) -> Tensor:
        leaf = images.detach().requires_grad_()
        loss = self._loss(network, leaf, label)
        synthetic = torch.autograd.grad(loss, self.matched(network), create_graph=True)
        return torch.autograd.grad(self.measure.between(real, synthetic), [leaf])[0]

    def _loss(self, network: nn.Module, images: Tensor, label: Tensor) -> Tensor:
        with self.task.autocast(), sdpa_kernel(TWICE):
            logits = freeze_statistics(network)(images)
        return F.cross_entropy(logits.float(), label.expand(len(images)))


class FastMatching(ReferenceMatching):
    """The same as functions of the weights, of several classes at once, compiled as one graph each, where that pays.

    Classes share the network and nothing else: BatchNorm's statistics stand still while matching. torch.compile does
    not go back twice through a graph of autograd; it does through `torch.func.grad`, which in turn frees nothing before
    its end unless it is compiled. So where compiling does not pay, the reference computes.
    """

    def __init__(self, task: Task, template: nn.Module, measure: Measure = DC) -> None:
        super().__init__(task, measure)
        self._template = with_standing_norms(template)
        self._compiled_real: Callable[..., Gradients] | None = None
        self._compiled_pull: Callable[..., Tensor] | None = None

    def ready(self, real: int, synthetic: int, updates: int) -> None:
        size, pixels = self.task.dataset.resolution**2, TOGETHER.get(self.task.device.type, PIXELS)
        held = sum(weight.numel() for weight in self.matched(self._template))
        most = min(pixels // (synthetic * size), WEIGHTS // held)
        self.synthetic_together = classes_together(self.task.classes, most)
        self.real_together = classes_together(self.synthetic_together, pixels // (real * size))
        self._compiled_real = self._compile_real(example_images(self.task, self.real_together, real), updates)
        self._compiled_pull = self._compile_pull(example_images(self.task, self.synthetic_together, synthetic), updates)

    def real(self, network: nn.Module, images: Tensor, labels: Tensor) -> Gradients:
        if self._compiled_real is None:
            return super().real(network, images, labels)
        with self.task.autocast():
            return self._compiled_real(images, labels, *self._split(network))

    def pull(self, network: nn.Module, images: Tensor, labels: Tensor, real: Gradients) -> Tensor:
        if self._compiled_pull is None:
            return super().pull(network, images, labels, real)
        with self.task.autocast():
            return self._compiled_pull(images.detach(), labels, *self._split(network), real)

    def functional_real(self, images: Tensor, labels: Tensor, weights: Weights, others: Weights) -> Gradients:
        """`real` as a function to compile."""
        of_a_class = partial(self._real_of_a_class, weights, others)
        if len(images) == 1:  # vmap would copy activations
            return [found[None] for found in of_a_class(images[0], labels[0])]
        found: Gradients = vmap(of_a_class)(images, labels)
        return found

    def functional_pull(
        self, images: Tensor, labels: Tensor, weights: Weights, others: Weights, real: Gradients
    ) -> Tensor:
        """`pull` as a function to compile."""
        of_a_class = partial(self._pull_of_a_class, weights, others)
        pulled: Tensor = vmap(of_a_class)(images, labels, real)
        return pulled

    def _real_of_a_class(self, weights: Weights, others: Weights, images: Tensor, label: Tensor) -> list[Tensor]:
        found: Weights = grad(self._functional_loss)(weights, others, images, label)
        return list(found.values())

    def _pull_of_a_class(
        self, weights: Weights, others: Weights, images: Tensor, label: Tensor, real: Gradients
    ) -> Tensor:
        def apart(images: Tensor) -> Tensor:
            return self.measure.between(real, self._real_of_a_class(weights, others, images, label))

        pulled: Tensor = grad(apart)(images)
        return pulled

    def _functional_loss(self, weights: Weights, others: Weights, images: Tensor, label: Tensor) -> Tensor:
        with sdpa_kernel(TWICE):
            logits: Tensor = functional_call(self._template, {**weights, **others}, (images,))
        return F.cross_entropy(logits.float(), label.expand(len(images)))

    def _compile_real(self, images: Tensor, updates: int) -> Callable[..., Gradients] | None:
        labels = self._labels(images)

        def step(tried: Callable[..., Gradients]) -> None:
            with self.task.autocast():
                tried(images, labels, *self._split(self._template))

        work = self._work("match real", images, updates)
        plain = partial(super().real, self._template, images, labels)
        return compiled_in_place(self.task, work, self.functional_real, step, plain)

    def _compile_pull(self, images: Tensor, updates: int) -> Callable[..., Tensor] | None:
        labels, draws = self._labels(images), seeds.generator("trial")
        shapes = [(len(images), *weight.shape) for weight in self.matched(self._template)]
        targets = [torch.randn(shape, generator=draws).to(self.task.device) for shape in shapes]

        def step(tried: Callable[..., Tensor]) -> None:
            with self.task.autocast():
                tried(images, labels, *self._split(self._template), targets)

        work = self._work("match synthetic", images, updates)
        plain = partial(super().pull, self._template, images, labels, targets)
        return compiled_in_place(self.task, work, self.functional_pull, step, plain)

    def _work(self, what: str, images: Tensor, updates: int) -> Workload:
        steps = updates * self.task.classes // len(images)
        return Workload(what, self._template, tuple(images.shape), steps, SAVED)

    def _split(self, network: nn.Module) -> tuple[Weights, Weights]:
        """The weights whose gradients are matched, and all others with the buffers; by name, without a graph."""
        every, dims = weights_of(network), self.measure.dims
        named = [name for name, weight in network.named_parameters() if weight.dim() >= dims]
        matching = {name: every.pop(name).detach() for name in named}
        return matching, {name: each.detach() for name, each in every.items()}

    def _labels(self, images: Tensor) -> Tensor:
        return torch.zeros(len(images), dtype=torch.int64, device=images.device)
