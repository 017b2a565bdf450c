"""DC's distance: between the gradients that real and synthetic images of a class give a network's weights.

    D = sum over weights of two or more dimensions, sum over output units, of 1 - cos(real, synthetic)

A unit is a filter of a convolution (all its values in one row) or a row of a linear layer. Biases and the scales of
norms take no part (release), so their gradients are not computed.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench import seeds
from bench.compiling import Workload, compiled_where_it_pays
from bench.condensation import Task
from bench_matching.networks import Weights, formatted, freeze_statistics, weights_of

EPSILON = 1e-6  # of the release, added to the product of norms
SAVED = 0.5  # of a step, by compiling
TWICE = SDPBackend.MATH  # the attention that has a second derivative

Gradients = Sequence[Tensor]
Result = TypeVar("Result")


def distance(real: Gradients, synthetic: Gradients) -> Tensor:
    """Scalar D of two lists of gradients; tensors of fewer than two dimensions contribute 0."""
    pairs = zip(real, synthetic, strict=True)
    return torch.stack([_by_units(first, second) for first, second in pairs if first.dim() >= 2]).sum()


def _by_units(first: Tensor, second: Tensor) -> Tensor:
    first, second = first.flatten(1), second.flatten(1)
    norms: Tensor = first.norm(dim=1) * second.norm(dim=1)
    return (1 - (first * second).sum(1) / (norms + EPSILON)).sum()


class GradientMatching(ABC):
    """The gradients of one class, and what their distance says to its synthetic images."""

    def __init__(self, task: Task) -> None:
        self.task = task

    @abstractmethod
    def ready(self, real: Tensor, synthetic: Tensor, steps: int) -> None:
        """Called before the first of so many matches: time to compile for batches like these, (B, C, S, S)."""

    @abstractmethod
    def real(self, network: nn.Module, images: Tensor, label: int) -> Gradients:
        """What images (B, C, S, S) of a class give the weights, without a graph."""

    @abstractmethod
    def pull(self, network: nn.Module, images: Tensor, label: int, real: Gradients) -> Tensor:
        """dD/d images, of their shape, (ipc, C, S, S)."""


class ReferenceMatching(GradientMatching):
    """As the release computes: two graphs, one through the other."""

    def ready(self, real: Tensor, synthetic: Tensor, steps: int) -> None:
        """Nothing to compile."""

    def real(self, network: nn.Module, images: Tensor, label: int) -> Gradients:
        """See `GradientMatching.real`."""
        return torch.autograd.grad(self._loss(network, images, label), matched(network))

    def pull(self, network: nn.Module, images: Tensor, label: int, real: Gradients) -> Tensor:
        """See `GradientMatching.pull`."""
        leaf = images.detach().requires_grad_()
        loss = self._loss(network, leaf, label)
        synthetic = torch.autograd.grad(loss, matched(network), create_graph=True)
        return torch.autograd.grad(distance(real, synthetic), [leaf])[0]

    def _loss(self, network: nn.Module, images: Tensor, label: int) -> Tensor:
        labels = torch.full((len(images),), label, device=images.device)
        with self.task.autocast(), sdpa_kernel(TWICE):
            logits = freeze_statistics(network)(formatted(images, self.task))
        return F.cross_entropy(logits.float(), labels)


def matched(network: nn.Module) -> list[Tensor]:
    """The weights whose gradients are matched."""
    return [weight for weight in network.parameters() if weight.dim() >= 2]


class FastMatching(GradientMatching):
    """The same as functions of the weights, each compiled as one graph where that pays.

    torch.compile does not go back twice through a graph of autograd; it does through `torch.func.grad`.
    """

    def __init__(self, task: Task, template: nn.Module) -> None:
        super().__init__(task)
        self._template = freeze_statistics(template)
        self._real: Callable[..., Gradients] = self._gradients
        self._pull: Callable[..., Tensor] = self._pulled

    def ready(self, real: Tensor, synthetic: Tensor, steps: int) -> None:
        """See `GradientMatching.ready`."""
        weights = _split(self._template)
        example = [torch.randn(weight.shape, generator=seeds.generator("trial")) for weight in weights[0].values()]
        gradients = [each.to(self.task.device) for each in example]
        self._real = self._chosen("match real", real, steps, self._gradients, *weights)
        self._pull = self._chosen("match synthetic", synthetic, steps, self._pulled, *weights, gradients)

    def real(self, network: nn.Module, images: Tensor, label: int) -> Gradients:
        """See `GradientMatching.real`."""
        labels = torch.full((len(images),), label, device=images.device)
        with self.task.autocast():
            return self._real(images, labels, *_split(network))

    def pull(self, network: nn.Module, images: Tensor, label: int, real: Gradients) -> Tensor:
        """See `GradientMatching.pull`."""
        labels = torch.full((len(images),), label, device=images.device)
        with self.task.autocast():
            return self._pull(images.detach(), labels, *_split(network), real)

    def _gradients(self, images: Tensor, labels: Tensor, weights: Weights, others: Weights) -> Gradients:
        found: Weights = grad(self._loss)(weights, others, images, labels)
        return list(found.values())

    def _pulled(self, images: Tensor, labels: Tensor, weights: Weights, others: Weights, real: Gradients) -> Tensor:
        def apart(images: Tensor) -> Tensor:
            return distance(real, self._gradients(images, labels, weights, others))

        pulled: Tensor = grad(apart)(images)
        return pulled

    def _loss(self, weights: Weights, others: Weights, images: Tensor, labels: Tensor) -> Tensor:
        with sdpa_kernel(TWICE):
            logits: Tensor = functional_call(self._template, {**weights, **others}, (formatted(images, self.task),))
        return F.cross_entropy(logits.float(), labels)

    def _chosen(
        self, what: str, images: Tensor, steps: int, function: Callable[..., Result], *arguments: object
    ) -> Callable[..., Result]:
        """The function compiled where it pays, for batches like `images` and the arguments after the labels."""
        labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)

        def step(tried: Callable[..., Result]) -> None:
            with self.task.autocast():
                tried(images, labels, *arguments)

        work = Workload(what, self._template, tuple(images.shape), steps, SAVED)
        return compiled_where_it_pays(self.task, work, function, step)


def _split(network: nn.Module) -> tuple[Weights, Weights]:
    """The weights whose gradients are matched, and all others with the buffers; by name, without a graph."""
    matching = {name: weight.detach() for name, weight in network.named_parameters() if weight.dim() >= 2}
    return matching, {name: each.detach() for name, each in weights_of(network).items() if name not in matching}
