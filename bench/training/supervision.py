"""Where the targets of a training come from: the class, a teacher that looks at each view, or its stored answers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from bench.labels import StoredLabels
from bench.storage.paging import Passage
from bench.training import losses
from bench.training.losses import SoftLoss
from bench.training.views import BatchView, Mix


class Supervision(ABC):
    """A source of targets.

    Attributes:
        teacher: a frozen network in evaluation mode that is to see every batch as the student does, mixed and all, in
            the student's arithmetic and without gradients; or None.
    """

    teacher: nn.Module | None = None

    @abstractmethod
    def loss(self, logits: Tensor, answers: Tensor | None, view: BatchView, classes: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            logits: float32 (B, K), the student's.
            answers: float32 (B, K), the logits of `teacher`; None without one.
            view: what was done to the batch.
            classes: int64 (B,), of the unmixed images.
        """


class HardSupervision(Supervision):
    """Cross-entropy with the class. A mixed batch mixes the losses of both classes by lambda (CutMix, Mixup)."""

    def __init__(self, smoothing: float = 0.0) -> None:
        self._smoothing = smoothing

    def loss(self, logits: Tensor, answers: Tensor | None, view: BatchView, classes: Tensor) -> Tensor:
        own = losses.cross_entropy(logits, classes, self._smoothing)
        if view.mix is None:
            return own
        partners = _partners(view.mix, classes)
        return losses.mixed(own, losses.cross_entropy(logits, partners, self._smoothing), view.mix.share)


class SoftSupervision(Supervision):
    """Cross-entropy with each image's own distribution. A mixed batch mixes both losses by lambda, as hard labels do.

    Args:
        targets: (N, K), of the images in the order of `BatchView.indices`, on the device of the training.
    """

    def __init__(self, targets: Tensor) -> None:
        self._targets = targets

    def loss(self, logits: Tensor, answers: Tensor | None, view: BatchView, classes: Tensor) -> Tensor:
        targets = self._targets[view.indices.to(logits.device, non_blocking=True)]
        own = self.measured(logits, targets)
        if view.mix is None:
            return own
        return losses.mixed(own, self.measured(logits, _partners(view.mix, targets)), view.mix.share)

    def measured(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of outputs (B, K) against targets (B, K)."""
        return losses.soft_cross_entropy(logits, targets)


class RegressionSupervision(SoftSupervision):
    """Half the squared distance of the outputs from each image's own targets, which are no distributions."""

    def measured(self, logits: Tensor, targets: Tensor) -> Tensor:
        """As above."""
        return losses.half_squared_error(logits, targets)


class TeacherSupervision(Supervision):
    """What `bench.training.losses.SoftLoss` says of a teacher that sees the augmented and mixed view."""

    def __init__(self, teacher: nn.Module, loss: SoftLoss) -> None:
        self.teacher, self._loss = teacher, loss

    def loss(self, logits: Tensor, answers: Tensor | None, view: BatchView, classes: Tensor) -> Tensor:
        assert answers is not None
        return self._loss(logits, answers, classes)


class StoredSupervision(Supervision):
    """The same of logits stored for these very views (FKD), read a batch at a time.

    Args:
        labels: whose `read` gives the logits of some views. Pages of a file that they lie in are given back as the
            training goes on: all labels may be larger than the memory.
    """

    def __init__(self, labels: StoredLabels, loss: SoftLoss) -> None:
        self._labels, self._loss, self._passage = labels, loss, Passage(unchanged=True)

    def loss(self, logits: Tensor, answers: Tensor | None, view: BatchView, classes: Tensor) -> Tensor:
        target = self._labels.read(view.epoch, slice(view.start, view.start + len(view)), logits.device)
        self._passage.use(target.nbytes, self._labels.tensors.values())
        return self._loss(logits, target, classes)


def _partners(mix: Mix, targets: Tensor) -> Tensor:
    return targets[mix.permutation.to(targets.device, non_blocking=True)]
