"""Losses on logits, always in fp32 and averaged over the batch."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

SoftKind = Literal["kl", "mse"]


def cross_entropy(logits: Tensor, classes: Tensor, smoothing: float = 0.0) -> Tensor:
    """CE of logits (B, K) with class indices (B,). `smoothing` spreads that share of the target over all K classes."""
    return F.cross_entropy(logits.float(), classes, label_smoothing=smoothing)


def soft_cross_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """CE of logits (B, K) with target distributions (B, K): -sum p log softmax(z)."""
    return F.cross_entropy(logits.float(), probabilities.float())


def half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """½ sum over classes of (output - target)², averaged over the batch, of (B, K) both: FRePo's loss of networks."""
    return 0.5 * (outputs.float() - targets.float()).square().sum(1).mean()


def distillation(student: Tensor, teacher: Tensor, temperature: float, *, t_squared: bool) -> Tensor:
    """KL(softmax(teacher / T) || softmax(student / T)) of logits (B, K), summed over classes.

    Hinton et al. (2015, section 2.1) multiply by T squared, which keeps the gradient's size over T; of SRe2L's releases
    only Tiny-ImageNet's does, so it is the recipe's choice.
    """
    log_student = F.log_softmax(student.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher.float() / temperature, dim=1)
    loss = F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    return loss * temperature**2 if t_squared else loss


def logit_matching(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean over images and classes of (student - teacher)^2, of logits (B, K): G-VBSM's and EDC's code ("mse_gt").

    No temperature divides them: the code takes one and leaves it unused.
    """
    return F.mse_loss(student.float(), teacher.float())


@dataclass(frozen=True)
class SoftLoss:
    """The loss on soft labels of teachers: `kind` + `hard_weight` x cross-entropy with the class.

    In a mixed batch the class is that of the image itself, whose part the partner's box may cover to the last pixel:
    so do train_FKD.py and direct_train.py of G-VBSM and EDC, which weigh no partner's class in.

    Attributes:
        temperature: of "kl".
        t_squared: whether "kl" is multiplied by its square.
    """

    temperature: float
    t_squared: bool = False
    kind: SoftKind = "kl"
    hard_weight: float = 0.0

    def __call__(self, student: Tensor, teacher: Tensor, classes: Tensor) -> Tensor:
        """Of logits (B, K) of both and the classes (B,) of the unmixed images."""
        loss = self._soft(student, teacher)
        return loss + self.hard_weight * cross_entropy(student, classes) if self.hard_weight else loss

    def _soft(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.kind == "mse":
            return logit_matching(student, teacher)
        return distillation(student, teacher, self.temperature, t_squared=self.t_squared)


def mixed(loss: Tensor, partner: Tensor, share: float | Tensor) -> Tensor:
    """The two losses of a mixed batch: `share` of the images' own, the rest of their partners' (CutMix, eq. 1)."""
    return torch.lerp(partner, loss, share)
