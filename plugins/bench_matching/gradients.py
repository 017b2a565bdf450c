"""DC's distance: between the gradients that real and synthetic images of a class give a network's weights.

    D = sum over weights of two or more dimensions, sum over output units, of 1 - cos(real, synthetic)

A unit is a filter of a convolution (all its values in one row) or a row of a linear layer. Biases and the scales of
norms take no part (release), so their gradients are not computed.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn import functional as F
from torch.nn.attention import sdpa_kernel

from bench import seeds
from bench.compiling import Workload, compiled_in_place
from bench.condensation import Task
from bench_matching.networks import TWICE, Weights, formatted, freeze_statistics, weights_of

EPSILON = 1e-6  # of the release, added to the product of norms
SAVED = 0.5  # of a step, by compiling

Gradients = Sequence[Tensor]
Function = TypeVar("Function", bound=Callable[..., Any])


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
        with self.task.autocast(), sdpa_kernel(TWICE):
            logits = freeze_statistics(network)(formatted(images, self.task))
        return F.cross_entropy(logits.float(), _labels(images, label))


def matched(network: nn.Module) -> list[Tensor]:
    """The weights whose gradients are matched."""
    return [weight for weight in network.parameters() if weight.dim() >= 2]


class FastMatching(ReferenceMatching):
    """The same as functions of the weights, each compiled as one graph, where that pays; elsewhere as the reference.

    torch.compile does not go back twice through a graph of autograd; it does through `torch.func.grad`, which in turn
    frees nothing before its end unless it is compiled.
    """

    def __init__(self, task: Task, template: nn.Module) -> None:
        super().__init__(task)
        self._template = freeze_statistics(template)
        self._compiled_real: Callable[..., Gradients] | None = None
        self._compiled_pull: Callable[..., Tensor] | None = None

    def ready(self, real: Tensor, synthetic: Tensor, steps: int) -> None:
        """See `GradientMatching.ready`."""
        template, weights = self._template, _split(self._template)
        example = [torch.randn(weight.shape, generator=seeds.generator("trial")) for weight in weights[0].values()]
        targets = [each.to(self.task.device) for each in example]

        def compiled(
            what: str, images: Tensor, function: Function, inputs: Sequence[object], plain: Callable[[], object]
        ) -> Function | None:
            def step(tried: Function) -> None:
                with self.task.autocast():
                    tried(images, _labels(images, 0), *weights, *inputs)

            work = Workload(what, template, tuple(images.shape), steps, SAVED)
            return compiled_in_place(self.task, work, function, step, plain)

        real_plainly = partial(super().real, template, real, 0)
        self._compiled_real = compiled("match real", real, self.functional_real, [], real_plainly)
        pull_plainly = partial(super().pull, template, synthetic, 0, targets)
        self._compiled_pull = compiled("match synthetic", synthetic, self.functional_pull, [targets], pull_plainly)

    def real(self, network: nn.Module, images: Tensor, label: int) -> Gradients:
        """See `GradientMatching.real`."""
        if self._compiled_real is None:
            return super().real(network, images, label)
        with self.task.autocast():
            return self._compiled_real(images, _labels(images, label), *_split(network))

    def pull(self, network: nn.Module, images: Tensor, label: int, real: Gradients) -> Tensor:
        """See `GradientMatching.pull`."""
        if self._compiled_pull is None:
            return super().pull(network, images, label, real)
        with self.task.autocast():
            return self._compiled_pull(images.detach(), _labels(images, label), *_split(network), real)

    def functional_real(self, images: Tensor, labels: Tensor, weights: Weights, others: Weights) -> Gradients:
        """`real` as a function to compile."""
        found: Weights = grad(self._functional_loss)(weights, others, images, labels)
        return list(found.values())

    def functional_pull(
        self, images: Tensor, labels: Tensor, weights: Weights, others: Weights, real: Gradients
    ) -> Tensor:
        """`pull` as a function to compile."""

        def apart(images: Tensor) -> Tensor:
            return distance(real, self.functional_real(images, labels, weights, others))

        pulled: Tensor = grad(apart)(images)
        return pulled

    def _functional_loss(self, weights: Weights, others: Weights, images: Tensor, labels: Tensor) -> Tensor:
        with sdpa_kernel(TWICE):
            logits: Tensor = functional_call(self._template, {**weights, **others}, (formatted(images, self.task),))
        return F.cross_entropy(logits.float(), labels)


def _labels(images: Tensor, label: int) -> Tensor:
    return torch.full((len(images),), label, device=images.device)


def _split(network: nn.Module) -> tuple[Weights, Weights]:
    """The weights whose gradients are matched, and all others with the buffers; by name, without a graph."""
    matching = {name: weight.detach() for name, weight in network.named_parameters() if weight.dim() >= 2}
    return matching, {name: each.detach() for name, each in weights_of(network).items() if name not in matching}
