"""Label sources: each against its definition, and online against stored."""

import torch
from torch import nn

from bench.labels import StoredLabels, TeacherRef
from bench.training import losses
from bench.training.losses import SoftLoss
from bench.training.supervision import (
    HardSupervision,
    RegressionSupervision,
    SoftSupervision,
    StoredSupervision,
    TeacherSupervision,
)
from bench.training.views import BatchView, Mix

LOGITS = torch.randn((4, 3), generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 1, 2, 0])
MIX = Mix(torch.tensor([3, 2, 0, 1]), 0.7, (0, 1, 0, 1))


def test_hard_labels_of_a_mixed_batch_mix_both_losses() -> None:
    loss = HardSupervision(0.1).loss(LOGITS, None, BatchView(0, 0, torch.arange(4), mix=MIX), CLASSES)
    own = losses.cross_entropy(LOGITS, CLASSES, 0.1)
    partner = losses.cross_entropy(LOGITS, CLASSES[MIX.permutation], 0.1)
    torch.testing.assert_close(loss, 0.7 * own + 0.3 * partner)


def test_hard_labels_alone_are_cross_entropy() -> None:
    loss = HardSupervision().loss(LOGITS, None, BatchView(0, 0, torch.arange(4)), CLASSES)
    assert torch.equal(loss, losses.cross_entropy(LOGITS, CLASSES))


def test_the_teacher_s_answers_are_the_targets() -> None:
    source = TeacherSupervision(nn.Identity(), SoftLoss(4.0, t_squared=True))
    answers = LOGITS.flip(0)
    loss = source.loss(LOGITS, answers, BatchView(0, 0, torch.arange(4), mix=MIX), CLASSES)
    assert torch.equal(loss, losses.distillation(LOGITS, answers, 4.0, t_squared=True))


def test_stored_labels_are_found_by_position() -> None:
    stored = torch.randn((2, 10, 3), generator=torch.Generator().manual_seed(3)).half()
    labels = StoredLabels(TeacherRef("0", "small", None, 0), 20.0, 0, {}, stored)
    source = StoredSupervision(labels, SoftLoss(20.0, t_squared=False))
    loss = source.loss(LOGITS, None, BatchView(1, 6, torch.tensor([9, 1, 0, 4])), CLASSES)
    assert torch.equal(loss, losses.distillation(LOGITS, stored[1, 6:10], 20.0, t_squared=False))


def test_soft_labels_are_each_images_own_and_mix_by_lambda() -> None:
    distributions = torch.rand((6, 3), generator=torch.Generator().manual_seed(5)).softmax(1)
    indices = torch.tensor([5, 0, 3, 2])
    log_student = LOGITS.double().log_softmax(1)
    own = -(distributions[indices].double() * log_student).sum(1).mean()
    partners = -(distributions[indices][MIX.permutation].double() * log_student).sum(1).mean()
    source = SoftSupervision(distributions)
    torch.testing.assert_close(source.loss(LOGITS, None, BatchView(0, 0, indices), CLASSES).double(), own)
    mixed = source.loss(LOGITS, None, BatchView(0, 0, indices, mix=MIX), CLASSES)
    torch.testing.assert_close(mixed.double(), 0.7 * own + 0.3 * partners)


def test_certain_soft_labels_are_hard_labels() -> None:
    view = BatchView(0, 0, torch.arange(4), mix=MIX)
    certain = nn.functional.one_hot(CLASSES, 3).float()
    loss = SoftSupervision(certain).loss(LOGITS, None, view, CLASSES)
    torch.testing.assert_close(loss, HardSupervision().loss(LOGITS, None, view, CLASSES))


def test_regression_is_half_the_squared_distance_whatever_the_targets_sum_to() -> None:
    targets, indices = torch.randn((6, 3), generator=torch.Generator().manual_seed(5)), torch.tensor([5, 0, 3, 2])
    wanted, source = targets[indices].double(), RegressionSupervision(targets)
    own, partners = (0.5 * ((LOGITS.double() - each) ** 2).sum(1).mean() for each in (wanted, wanted[MIX.permutation]))
    torch.testing.assert_close(source.loss(LOGITS, None, BatchView(0, 0, indices), CLASSES).double(), own)
    mixed = source.loss(LOGITS, None, BatchView(0, 0, indices, mix=MIX), CLASSES)
    torch.testing.assert_close(mixed.double(), 0.7 * own + 0.3 * partners)
