"""Where the targets of a training come from: the class, a teacher that looks at each view, or its stored answers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from bench.training import losses
from bench.training.views import Mix, View

Autocast = Callable[[], AbstractContextManager[Any]]


class Supervision(ABC):
    """A source of targets."""

    @abstractmethod
    def loss(self, logits: Tensor, view: View, images: Tensor, classes: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            logits: (B, K), the student's.
            view: what was done to the batch.
            images: (B, C, S, S), the batch as the student saw it, mixed and all.
            classes: int64 (B,), of the unmixed images.
        """


class HardSupervision(Supervision):
    """Cross-entropy with the class. A mixed batch mixes the losses of both classes by lambda (CutMix, Mixup)."""

    def __init__(self, smoothing: float = 0.0) -> None:
        self._smoothing = smoothing

    def loss(self, logits: Tensor, view: View, images: Tensor, classes: Tensor) -> Tensor:
        own = losses.cross_entropy(logits, classes, self._smoothing)
        if view.mix is None:
            return own
        partners = _partners(view.mix, classes)
        return losses.mixed(own, losses.cross_entropy(logits, partners, self._smoothing), view.mix.share)


class TeacherSupervision(Supervision):
    """KL to a teacher that sees the augmented and mixed view, in the student's arithmetic and without gradients."""

    def __init__(self, teacher: nn.Module, autocast: Autocast, temperature: float, *, t_squared: bool) -> None:
        self._teacher, self._autocast = teacher, autocast
        self._temperature, self._t_squared = temperature, t_squared

    def loss(self, logits: Tensor, view: View, images: Tensor, classes: Tensor) -> Tensor:
        target = teacher_logits(self._teacher, images, self._autocast)
        return losses.distillation(logits, target, self._temperature, t_squared=self._t_squared)


class StoredSupervision(Supervision):
    """KL to logits stored for these very views (FKD): (epochs, presented images, K), fp16."""

    def __init__(self, stored: Tensor, temperature: float, *, t_squared: bool) -> None:
        self._stored, self._temperature, self._t_squared = stored, temperature, t_squared

    def loss(self, logits: Tensor, view: View, images: Tensor, classes: Tensor) -> Tensor:
        target = self._stored[view.epoch, view.start : view.start + len(view)].to(logits.device, non_blocking=True)
        return losses.distillation(logits, target, self._temperature, t_squared=self._t_squared)


def teacher_logits(teacher: nn.Module, images: Tensor, autocast: Autocast) -> Tensor:
    """fp32 logits (B, K) of a teacher that is in evaluation mode."""
    with torch.no_grad(), autocast():
        logits: Tensor = teacher(images)
    return logits.float()


def _partners(mix: Mix, classes: Tensor) -> Tensor:
    return classes[mix.permutation.to(classes.device, non_blocking=True)]
