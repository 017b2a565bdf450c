"""A plugin of a protocol that measures no top-1: classes come one after another, and every step is tested."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.condensation import Task
from bench.evaluation import Metric, Protocol, Scores
from bench.hookspecs import Offer, hookimpl
from bench.sets.condensed import CondensedSet


class Incremental(Protocol):
    """Classes are known by the means of their images. `spoilt` leaves the metric of the second training out."""

    labels = "hard"

    def __init__(self, name: str, *, spoilt: bool = False) -> None:
        self.name, self.spoilt, self.trainings = name, spoilt, 0

    def evaluate(self, condensed: CondensedSet, task: Task, backbone: str, seed: int) -> Scores:
        images, classes = condensed.normalised().flatten(1), condensed.images.classes
        means = torch.stack([images[classes == label].mean(dim=0) for label in range(task.classes)])
        test = task.dataset.test
        seen = condensed.preprocessing.apply(test.take(torch.arange(len(test)))).flatten(1)
        steps = [_accuracy(means[:known], seen, test.labels) for known in range(2, task.classes + 1)]
        measured = {
            "average_incremental": Metric(sum(steps) / len(steps)),
            "forgetting": Metric(steps[0] - steps[-1], unit="points", better="lower"),
        }
        self.trainings += 1
        if self.spoilt and self.trainings > 1:
            del measured["forgetting"]
        return Scores(None, None, 1, 0.1, metrics=measured, primary="average_incremental")


def _accuracy(means: Tensor, images: Tensor, labels: Tensor) -> float:
    """In percent, on the images of the classes that are known."""
    known = labels < len(means)
    nearest = torch.cdist(images[known], means).argmin(dim=1)
    return 100 * float((nearest == labels[known]).double().mean())


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    made = [Incremental("incremental"), Incremental("spoilt", spoilt=True)]
    return [Offer(each.name, each, "a test") for each in made]
