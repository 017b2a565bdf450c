"""Losses on logits, always in fp32 and averaged over the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits: Tensor, classes: Tensor, smoothing: float = 0.0) -> Tensor:
    """CE of logits (B, K) with class indices (B,). `smoothing` spreads that share of the target over all K classes."""
    return F.cross_entropy(logits.float(), classes, label_smoothing=smoothing)


def soft_cross_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """CE of logits (B, K) with target distributions (B, K): -sum p log softmax(z)."""
    return F.cross_entropy(logits.float(), probabilities.float())


def distillation(student: Tensor, teacher: Tensor, temperature: float, *, t_squared: bool) -> Tensor:
    """KL(softmax(teacher / T) || softmax(student / T)) of logits (B, K), summed over classes.

    Hinton et al. (2015, section 2.1) multiply by T squared, which keeps the gradient's size over T; of SRe2L's releases
    only Tiny-ImageNet's does, so it is the recipe's choice.
    """
    log_student = F.log_softmax(student.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher.float() / temperature, dim=1)
    loss = F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    return loss * temperature**2 if t_squared else loss


def mixed(loss: Tensor, partner: Tensor, share: float | Tensor) -> Tensor:
    """The two losses of a mixed batch: `share` of the images' own, the rest of their partners' (CutMix, eq. 1)."""
    return torch.lerp(partner, loss, share)
