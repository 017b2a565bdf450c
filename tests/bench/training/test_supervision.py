"""Label sources: each against its definition, and online against stored."""

import torch
from torch import Tensor, nn

from bench.training import losses
from bench.training.supervision import HardSupervision, StoredSupervision, TeacherSupervision
from bench.training.views import Mix, View

LOGITS = torch.randn((4, 3), generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 1, 2, 0])
IMAGES = torch.randn((4, 3, 2, 2), generator=torch.Generator().manual_seed(1))
MIX = Mix(torch.tensor([3, 2, 0, 1]), 0.7, (0, 1, 0, 1))


class Answers(nn.Module):
    """Remembers what it saw and answers with a linear map of it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn((12, 3), generator=torch.Generator().manual_seed(2)))
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        return images.flatten(1) @ self.weight


def test_hard_labels_of_a_mixed_batch_mix_both_losses() -> None:
    loss = HardSupervision(0.1).loss(LOGITS, View(0, 0, torch.arange(4), mix=MIX), IMAGES, CLASSES)
    own = losses.cross_entropy(LOGITS, CLASSES, 0.1)
    partner = losses.cross_entropy(LOGITS, CLASSES[MIX.permutation], 0.1)
    torch.testing.assert_close(loss, 0.7 * own + 0.3 * partner)


def test_hard_labels_alone_are_cross_entropy() -> None:
    loss = HardSupervision().loss(LOGITS, View(0, 0, torch.arange(4)), IMAGES, CLASSES)
    assert torch.equal(loss, losses.cross_entropy(LOGITS, CLASSES))


def test_the_teacher_sees_the_student_s_view_without_gradient() -> None:
    teacher, student = Answers(), LOGITS.clone().requires_grad_()
    source = TeacherSupervision(teacher, lambda: torch.autocast("cpu", enabled=False), 4.0, t_squared=True)
    loss = source.loss(student, View(0, 0, torch.arange(4), mix=MIX), IMAGES, CLASSES)
    torch.autograd.backward(loss)
    assert teacher.seen[0] is IMAGES and teacher.weight.grad is None and student.grad is not None
    expected = losses.distillation(LOGITS, teacher(IMAGES), 4.0, t_squared=True)
    torch.testing.assert_close(loss.detach(), expected.detach())


def test_the_teacher_computes_in_the_student_s_arithmetic() -> None:
    kinds: list[torch.dtype] = []

    class Watches(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            out = images.flatten(1) @ torch.ones(12, 3)
            kinds.append(out.dtype)
            return out

    source = TeacherSupervision(Watches(), lambda: torch.autocast("cpu", torch.bfloat16), 4.0, t_squared=False)
    source.loss(LOGITS, View(0, 0, torch.arange(4)), IMAGES, CLASSES)
    assert kinds == [torch.bfloat16]


def test_stored_labels_are_found_by_position() -> None:
    stored = torch.randn((2, 10, 3), generator=torch.Generator().manual_seed(3)).half()
    source = StoredSupervision(stored, 20.0, t_squared=False)
    loss = source.loss(LOGITS, View(1, 6, torch.tensor([9, 1, 0, 4])), IMAGES, CLASSES)
    assert torch.equal(loss, losses.distillation(LOGITS, stored[1, 6:10], 20.0, t_squared=False))
