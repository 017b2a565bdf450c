"""What all experts make of images: which of them they recognise, and the labels that DATM begins with."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.condensation import Task
from bench.drawing import draw, members
from bench.loops.passes import walk
from bench.training.feeding import Feed
from bench_matching.experts import Experts
from bench_matching.student import Student, logits_of

LOOKED_AT = 256  # images of a class between two counts of those that an expert recognised


@dataclass(frozen=True)
class Panel:
    """The experts after one epoch, as judges.

    Attributes:
        student: their network, on the task's device.
        epoch: the last, say.
    """

    task: Task
    student: Student
    experts: Experts
    epoch: int

    def logits(self, expert: int, images: Tensor) -> Tensor:
        """float32 (N, K), of images (N, C, S, S)."""
        (weights,) = self.experts.weights(expert, [self.epoch])
        return logits_of(self.student, weights.to(self.task.device), images)

    def recognised(self) -> tuple[Tensor, int]:
        """Real images to begin with, and how many of them no expert recognises.

        The images of a class are looked at in a random order, until the first expert has recognised `ipc` of them.
        Where it recognises fewer, the second looks at those that are left, and so on. Where all together recognise too
        few, the first of the others fill the class.

        Returns:
            float32 (classes * ipc, C, S, S) in normalised space, class by class, and the number.

        Raises:
            UsageError: a class has fewer than ipc training images.
        """
        task, feed, unknown = self.task, Feed.of(self.task), 0
        chosen = [self._order(label)[: task.ipc] for label in range(task.classes)]
        for label in walk(task, "recognise", task.classes):
            chosen[label], missing = self._of_class(feed, label)
            unknown += missing
        return feed.images(torch.cat(chosen)), unknown

    def first_logits(self, images: Tensor, classes: Tensor) -> Tensor:
        """The mean logits (N, K), for each image (N, C, S, S), of the experts that recognise it, or of all where none
        does; classes are int64 (N,)."""
        count = len(self.experts)
        shape = (len(images), self.task.classes)
        known, every = torch.zeros(shape, device=images.device), torch.zeros(shape, device=images.device)
        judges = torch.zeros(len(images), 1, device=images.device)
        for expert in walk(self.task, "first labels", count):
            logits = self.logits(expert, images)
            right = (logits.argmax(1) == classes)[:, None]
            known += torch.where(right, logits, 0)
            every += logits
            judges += right
        return torch.where(judges > 0, known / judges.clamp(min=1), every / count)

    def _order(self, label: int) -> Tensor:
        dataset, ipc = self.task.dataset, self.task.ipc
        count = len(members(dataset, label, ipc))
        return draw(dataset, label, count, self.task.seed_for("start"))

    def _of_class(self, feed: Feed, label: int) -> tuple[Tensor, int]:
        """Images of a class, int64 (ipc,), and how many of them no expert recognises."""
        wanted, left, found = self.task.ipc, self._order(label), list[Tensor]()
        for expert in range(len(self.experts)):
            passed_over = list[Tensor]()
            for part in left.split(LOOKED_AT):
                right = (self.logits(expert, feed.images(part)).argmax(1) == label).cpu()
                found.append(part[right])
                passed_over.append(part[~right])
                if sum(map(len, found)) >= wanted:
                    return torch.cat(found)[:wanted], 0
            left = torch.cat(passed_over)
        known = sum(map(len, found))
        return torch.cat([*found, left])[:wanted], wanted - known
