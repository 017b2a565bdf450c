"""Testing a network on a split."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.condensation import Task
from bench.data.datasets import Preprocessing, Split
from bench.errors import RunFailure
from bench.training.feeding import Feed
from bench.training.loop import place

BATCH = 256
TOP = 5


@dataclass(frozen=True)
class Assessment:
    """Accuracies in percent; top-5 is None with fewer than 6 classes, where it says nothing.

    `most_predicted` is the share of images, in percent, that got the class which was given most often. `confusion`,
    int64 (K, K) on the CPU, counts the images of each class (down) that got which class (across).
    """

    top1: float
    top5: float | None
    most_predicted: float
    confusion: Tensor


def accuracy(
    network: nn.Module, split: Split, normalisation: Preprocessing, task: Task, *, resize: int | None = None
) -> tuple[float, float | None]:
    """Top-1 and top-5 accuracy (see `assess`)."""
    found = assess(network, split, normalisation, task, resize=resize)
    return found.top1, found.top5


def assess(
    network: nn.Module, split: Split, normalisation: Preprocessing, task: Task, *, resize: int | None = None
) -> Assessment:
    """How well the network does in evaluation mode; its mode is put back afterwards.

    Where the task's pace cuts the pass short, of the images that it came to; 0 where it leaves it out.

    Args:
        resize: pixels a side that images are enlarged to, before their centre of the old size is taken; None leaves
            them as they are.

    Raises:
        ValueError: the split is empty.
        RunFailure: logits are not finite; whatever were counted of them would be no accuracy.
    """
    if not len(split):
        raise ValueError("an empty split cannot be tested on")
    feed = Feed(split, normalisation, task.device)
    was_training = network.training
    network = place(network, task).eval()
    hits = torch.zeros(3, dtype=torch.int64, device=task.device)
    confusion = torch.zeros(task.classes**2, dtype=torch.int64, device=task.device)
    batches, tested = torch.arange(len(split)).split(BATCH), 0
    for step in task.pace.walk("test", 0, len(batches)):
        indices = batches[step]
        images, tested = feed.images(indices), tested + len(indices)
        shown = images if resize is None else enlarged(images, resize)
        hits += _hits(network, shown, feed.labels(indices), task, confusion)
    network.train(was_training)
    top1, top5, lost = (100 * hits.double() / max(1, tested)).tolist()
    if lost:
        raise RunFailure(
            f"the network gives NaN or infinity for {lost:.3g} % of the test images: its training diverged"
        )
    counts = confusion.view(task.classes, task.classes).cpu()
    most = 100 * int(counts.sum(dim=0).max()) / max(1, tested)
    return Assessment(top1, top5 if task.classes > TOP else None, most, counts)


def enlarged(images: Tensor, size: int) -> Tensor:
    """The centre, (B, C, S, S), of images of S pixels a side that were resized to `size`, bilinearly."""
    side = images.shape[-1]
    resized = F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    first = round((size - side) / 2)  # as torchvision's center_crop
    return resized[..., first : first + side, first : first + side]


@torch.no_grad()
def _hits(network: nn.Module, images: Tensor, labels: Tensor, task: Task, confusion: Tensor) -> Tensor:
    """How many images have their class first, have it among the first five, and have no finite logits: (3,).

    Counts in `confusion`, (K * K,), which class each is given: K times its own, plus the one that is first.
    """
    with task.autocast():
        logits = network(images).float()
    ranked = logits.topk(min(TOP, logits.shape[1]), dim=1).indices
    given = labels * logits.shape[1] + ranked[:, 0]
    confusion.scatter_add_(0, given, torch.ones_like(given))  # a bincount would wait for the device
    right = ranked == labels[:, None]
    return torch.stack([right[:, 0].sum(), right.any(dim=1).sum(), (~logits.isfinite()).any(dim=1).sum()])
