"""The networks of a step: the teacher sees what the student sees, in the same arithmetic, without gradients."""

import pytest
import torch
from torch import Tensor, nn

from bench.training.students import StudentWithTeacher

IMAGES = torch.randn((4, 3, 2, 2), generator=torch.Generator().manual_seed(1))


class Answers(nn.Module):
    """Remembers what it saw and answers with a linear map of it."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn((12, 3), generator=torch.Generator().manual_seed(seed)))
        self.seen: list[Tensor] = []
        self.kinds: list[torch.dtype] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        answers = images.flatten(1) @ self.weight
        self.kinds.append(answers.dtype)
        return answers


def test_the_teacher_sees_the_student_s_batch_without_gradient() -> None:
    student, teacher = Answers(1), Answers(2)
    logits, answers = StudentWithTeacher(student, teacher)(IMAGES)
    assert answers is not None and not answers.requires_grad
    torch.autograd.backward((logits - answers).square().sum())
    assert student.weight.grad is not None and teacher.weight.grad is None
    assert student.seen[0] is IMAGES and teacher.seen[0] is IMAGES


def test_both_compute_in_one_arithmetic_and_answer_in_fp32() -> None:
    student, teacher = Answers(1), Answers(2)
    with torch.autocast("cpu", torch.bfloat16):
        logits, answers = StudentWithTeacher(student, teacher)(IMAGES)
    assert student.kinds == teacher.kinds == [torch.bfloat16]
    assert answers is not None and logits.dtype == answers.dtype == torch.float32


def test_without_a_teacher_there_are_no_answers() -> None:
    assert StudentWithTeacher(Answers(1))(IMAGES)[1] is None


@pytest.mark.parametrize(("images", "part", "sizes"), [(4, 2, [2, 2]), (5, 2, [2, 3]), (3, 2, [3]), (2, 2, [2])])
def test_the_student_may_see_a_batch_in_parts_which_the_teacher_sees_whole(
    images: int, part: int, sizes: list[int]
) -> None:
    """A single image that is left over goes with those before it: BatchNorm takes no statistics of one."""
    student, teacher = Answers(1), Answers(2)
    batch = torch.randn((images, 3, 2, 2), generator=torch.Generator().manual_seed(1))
    logits, _ = StudentWithTeacher(student, teacher, part)(batch)
    assert [len(seen) for seen in student.seen] == sizes and [len(seen) for seen in teacher.seen] == [images]
    torch.testing.assert_close(logits, Answers(1)(batch))
