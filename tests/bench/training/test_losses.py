"""Losses against the formulas, written out in float64."""

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.training import losses

RNG = np.random.default_rng(0)
STUDENT, TEACHER = RNG.normal(0, 3, (6, 5)), RNG.normal(0, 3, (6, 5))
CLASSES = np.array([0, 4, 2, 2, 1, 3])


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array).float()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(smoothing: float) -> None:
    target = (1 - smoothing) * np.eye(5)[CLASSES] + smoothing / 5
    expected = -(target * np.log(softmax(STUDENT))).sum(1).mean()
    assert float(losses.cross_entropy(tensor(STUDENT), torch.from_numpy(CLASSES), smoothing)) == pytest.approx(expected)


def test_soft_cross_entropy() -> None:
    expected = -(softmax(TEACHER) * np.log(softmax(STUDENT))).sum(1).mean()
    assert float(losses.soft_cross_entropy(tensor(STUDENT), tensor(softmax(TEACHER)))) == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("t_squared", [False, True])
def test_distillation_is_kl_from_teacher_to_student(temperature: float, t_squared: bool) -> None:
    p, q = softmax(TEACHER / temperature), softmax(STUDENT / temperature)
    expected = (p * np.log(p / q)).sum(1).mean() * (temperature**2 if t_squared else 1)
    loss = losses.distillation(tensor(STUDENT), tensor(TEACHER), temperature, t_squared=t_squared)
    assert float(loss) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.15])
def test_matching_logits_is_the_mean_over_images_and_classes_with_the_class_beside_it(weight: float) -> None:
    """G-VBSM's and EDC's "mse_gt"; the temperature plays no part."""
    expected = ((STUDENT - TEACHER) ** 2).sum() / 30 - weight * np.log(softmax(STUDENT))[np.arange(6), CLASSES].mean()
    loss = losses.SoftLoss(20.0, kind="mse", hard_weight=weight)
    found = loss(tensor(STUDENT), tensor(TEACHER), torch.from_numpy(CLASSES))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_the_class_may_stand_beside_kl() -> None:
    classes, both = torch.from_numpy(CLASSES), (tensor(STUDENT), tensor(TEACHER))
    alone = losses.SoftLoss(4.0, t_squared=True)(*both, classes)
    assert torch.equal(alone, losses.distillation(*both, 4.0, t_squared=True))
    with_class = losses.SoftLoss(4.0, t_squared=True, hard_weight=0.5)(*both, classes)
    assert float(with_class - alone) == pytest.approx(0.5 * float(losses.cross_entropy(both[0], classes)), rel=1e-4)


def test_a_mixed_batch_weighs_its_own_loss_by_lambda() -> None:
    assert float(losses.mixed(torch.tensor(2.0), torch.tensor(10.0), 0.75)) == pytest.approx(4.0)


def test_losses_are_taken_in_fp32() -> None:
    low, classes = tensor(STUDENT).bfloat16(), torch.from_numpy(CLASSES)
    assert losses.cross_entropy(low, classes).dtype == torch.float32
    assert losses.distillation(low, low, 20.0, t_squared=False).dtype == torch.float32
    assert losses.soft_cross_entropy(low, low.softmax(1)).dtype == torch.float32
