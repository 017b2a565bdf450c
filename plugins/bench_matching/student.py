"""The student of trajectory matching: a network as a function of its weights, and the derivatives that matching needs.

Weights are one vector, laid end to end in the order of `network.parameters()`. BatchNorm normalises by the statistics
of its batch, as networks in training do, and keeps no running ones: a function of weights and images has no state.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn.attention import sdpa_kernel
from torch.nn.functional import cross_entropy

from bench.compiling import Workload, compiled_in_place, example_images
from bench.condensation import Task
from bench.training.committees import without_running_statistics
from bench_matching.networks import TWICE

# Of a step, by compiling: between a training's 0.1 and the 0.4 of a recovery, which has no gradients of weights.
SAVED = 0.2
AT_ONCE = 250  # images that are looked at together, where nothing is derived

F = TypeVar("F", bound=Callable[..., Any])


class Along(NamedTuple):
    """What moves along a direction d: the gradient g of the loss by the weights, and the derivatives of d . g.

    `images` is (B, C, S, S); `weights` (P,) and `targets` (B, K) are None where nobody asked for them.
    """

    gradient: Tensor
    images: Tensor
    weights: Tensor | None = None
    targets: Tensor | None = None


class Student:
    """A network as a function of its weights.

    Args:
        network: images (B, C, S, S) -> logits (B, K). Its own weights are of no importance.
        bf16: forward passes run under bf16 autocast; weights, losses and derivatives stay fp32.
        order: of images in memory.
    """

    def __init__(
        self, network: nn.Module, *, bf16: bool = False, order: torch.memory_format = torch.contiguous_format
    ) -> None:
        self.network = without_running_statistics(network).train().requires_grad_(False)
        self._names = [name for name, _ in network.named_parameters()]
        self._shapes = [weight.shape for weight in network.parameters()]
        self._sizes = [weight.numel() for weight in network.parameters()]
        self._bf16 = bf16
        self._order = order

    def logits(self, weights: Tensor, images: Tensor) -> Tensor:
        """(B, K), at least fp32. Weights (P,)."""
        pieces = zip(self._names, weights.split(self._sizes), self._shapes, strict=True)
        named = {name: piece.view(shape) for name, piece, shape in pieces}
        images = images.contiguous(memory_format=self._order)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._bf16), sdpa_kernel(TWICE):
            logits: Tensor = functional_call(self.network, named, (images,))
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def loss(self, weights: Tensor, images: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy with classes, int64 (B,), or distributions, float (B, K)."""
        return cross_entropy(self.logits(weights, images), targets)


@torch.no_grad()
def logits_of(student: Student, weights: Tensor, images: Tensor) -> Tensor:
    """What it makes of however many images: (N, K)."""
    return torch.cat([student.logits(weights, batch) for batch in images.split(AT_ONCE)])


class Derivatives(ABC):
    """The derivatives of a student's loss, free of any graph.

    Args:
        of_weights, of_targets: whether `along` derives by them, too; the targets are then distributions.
    """

    def __init__(self, student: Student, *, of_weights: bool, of_targets: bool = False) -> None:
        self.student, self.of_weights, self.of_targets = student, of_weights, of_targets

    @abstractmethod
    def gradient(self, weights: Tensor, images: Tensor, targets: Tensor) -> Tensor:
        """By the weights: (P,)."""

    @abstractmethod
    def along(self, weights: Tensor, images: Tensor, targets: Tensor, direction: Tensor) -> Along:
        """That gradient, and its product with a direction (P,) derived by the images and by what else is asked for."""


class PlainDerivatives(Derivatives):
    """By autograd, as they are written."""

    def gradient(self, weights: Tensor, images: Tensor, targets: Tensor) -> Tensor:
        leaf = weights.detach().requires_grad_()
        return torch.autograd.grad(self.student.loss(leaf, images, targets), [leaf])[0]

    def along(self, weights: Tensor, images: Tensor, targets: Tensor, direction: Tensor) -> Along:
        leaf, pixels = weights.detach().requires_grad_(), images.detach().requires_grad_()
        goals = targets.detach().requires_grad_(self.of_targets)
        (gradient,) = torch.autograd.grad(self.student.loss(leaf, pixels, goals), [leaf], create_graph=True)
        wanted = {"images": pixels, **({"weights": leaf} if self.of_weights else {})}
        wanted |= {"targets": goals} if self.of_targets else {}
        found = torch.autograd.grad(gradient @ direction, list(wanted.values()))
        return Along(gradient.detach(), **dict(zip(wanted, found, strict=True)))


class FastDerivatives(PlainDerivatives):
    """As functions that compile to one forward graph each, where that pays; the same mathematics.

    Where it does not, and for batches of another size than compiled code is for, autograd computes: what
    `torch.func.grad` makes of a function frees nothing before its end unless it is compiled.

    Args:
        task: decides about compiling.
        batch: how many images a batch has.
        soft: targets are distributions.
        steps: how often each derivative will be taken.
    """

    def __init__(
        self,
        student: Student,
        task: Task,
        *,
        batch: int,
        soft: bool,
        steps: int,
        of_weights: bool,
        of_targets: bool = False,
    ) -> None:
        super().__init__(student, of_weights=of_weights, of_targets=of_targets)
        self._batch = batch
        images, targets, weights = self._example(task, soft)

        def compiled(what: str, function: F, plain: Callable[..., object], *inputs: Tensor) -> F | None:
            work = Workload(what, student.network, tuple(images.shape), steps, SAVED)
            return compiled_in_place(task, work, function, lambda each: each(*inputs), partial(plain, *inputs))

        given = weights, images, targets
        self._compiled_gradient = compiled("match gradient", self.functional_gradient, super().gradient, *given)
        self._compiled_along = compiled("match derivative", self.functional_along, super().along, *given, weights)

    def gradient(self, weights: Tensor, images: Tensor, targets: Tensor) -> Tensor:
        if self._compiled_gradient is None or len(images) != self._batch:
            return super().gradient(weights, images, targets)
        return self._compiled_gradient(weights, images, targets)

    def along(self, weights: Tensor, images: Tensor, targets: Tensor, direction: Tensor) -> Along:
        if self._compiled_along is None or len(images) != self._batch:
            return super().along(weights, images, targets, direction)
        return Along(*self._compiled_along(weights, images, targets, direction))

    def functional_gradient(self, weights: Tensor, images: Tensor, targets: Tensor) -> Tensor:
        """`gradient` as a function to compile."""
        found: Tensor = grad(self.student.loss)(weights, images, targets)
        return found

    def functional_along(
        self, weights: Tensor, images: Tensor, targets: Tensor, direction: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """`along` as a function to compile."""

        def product(weights: Tensor, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            gradient = grad(self.student.loss)(weights, images, targets)
            return gradient @ direction, gradient

        wanted = (*([0] if self.of_weights else []), 1, *([2] if self.of_targets else []))
        found, gradient = grad(product, argnums=wanted, has_aux=True)(weights, images, targets)
        named = dict(zip(wanted, found, strict=True))
        return gradient, named[1], named.get(0), named.get(2)

    def _example(self, task: Task, soft: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Images, targets and weights to time and to compile with."""
        images = example_images(task, self._batch)
        targets = torch.full((self._batch, task.classes), 1 / task.classes) if soft else torch.zeros(self._batch).long()
        weights = torch.cat([weight.flatten() for weight in self.student.network.parameters()])
        return images.to(weights.dtype), targets.to(task.device), weights.to(task.device)
