"""The networks of a training step: the student, and the teacher that looks at the same views."""

import torch
from torch import Tensor, nn


class StudentWithTeacher(nn.Module):
    """Both networks in one module, so that a step of both compiles to one graph; only the student's is differentiated.

    Args:
        student: images (B, C, S, S) -> logits (B, K).
        teacher: the same in evaluation mode, or None.
        part: how many images the student sees at once, or None for all. Each part is normalised by its own statistics;
            a single image that is left over goes with the part before it, for BatchNorm can take none of it.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module | None = None, part: int | None = None) -> None:
        super().__init__()
        self.student, self.teacher, self.part = student, teacher, part

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """fp32 logits (B, K) of the student, and of the teacher, where there is one."""
        answers: Tensor | None = None
        if self.teacher is not None:
            with torch.no_grad():
                answers = self.teacher(images).float()
        if self.part is None or len(images) <= self.part:
            return self.student(images).float(), answers
        parts = images.split(_sizes(len(images), self.part))
        return torch.cat([self.student(part).float() for part in parts]), answers


def _sizes(images: int, part: int) -> list[int]:
    sizes = [min(part, images - start) for start in range(0, images, part)]
    if sizes[-1] == 1 and len(sizes) > 1:
        sizes[-2:] = [part + 1]
    return sizes
