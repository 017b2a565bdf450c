"""Testing a network on a split."""

import torch
from torch import Tensor, nn

from bench.condensation import Task
from bench.imagery import Preprocessing, Split
from bench.training.feeding import Feed
from bench.training.loop import place, wants_channels_last

BATCH = 256
TOP = 5


def accuracy(network: nn.Module, split: Split, normalisation: Preprocessing, task: Task) -> tuple[float, float | None]:
    """Top-1 and top-5 accuracy in percent, of the network in evaluation mode; its mode is put back afterwards.

    Top-5 is None with fewer than 6 classes, where it says nothing. Images are taken as they are, without a crop.

    Raises:
        ValueError: the split is empty.
    """
    if not len(split):
        raise ValueError("an empty split cannot be tested on")
    feed = Feed(split, normalisation, task.device, channels_last=wants_channels_last(task))
    was_training = network.training
    network = place(network, task).eval()
    hits = torch.zeros(2, dtype=torch.int64, device=task.device)
    for start in range(0, len(split), BATCH):
        hits += _hits(network, feed, torch.arange(start, min(start + BATCH, len(split))), task)
    network.train(was_training)
    top1, top5 = (100 * hits.double() / len(split)).tolist()
    return top1, top5 if task.classes > TOP else None


@torch.no_grad()
def _hits(network: nn.Module, feed: Feed, indices: Tensor, task: Task) -> Tensor:
    """How many of these images have their class first, and among the first five: (2,), on the device."""
    with task.autocast():
        logits = network(feed.formatted(feed.images(indices)))
    ranked = logits.float().topk(min(TOP, logits.shape[1]), dim=1).indices
    right = ranked == feed.labels(indices)[:, None]
    return torch.stack([right[:, 0].sum(), right.any(dim=1).sum()])
