"""The networks of a training step: the student, and the teacher that looks at the same views."""

import torch
from torch import Tensor, nn


class StudentWithTeacher(nn.Module):
    """Both networks in one module, so that a step of both compiles to one graph; only the student's is differentiated.

    Args:
        student: images (B, C, S, S) -> logits (B, K).
        teacher: the same in evaluation mode, or None.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module | None = None) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """fp32 logits (B, K) of the student, and of the teacher, where there is one."""
        answers: Tensor | None = None
        if self.teacher is not None:
            with torch.no_grad():
                answers = self.teacher(images).float()
        logits: Tensor = self.student(images).float()
        return logits, answers
