"""A teacher's accuracy on a condensed set: no student learns from images that their own teacher does not recognise."""

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from bench.condensation import Task
from bench.errors import RunFailure
from bench.hardware.devices import computing_in
from bench.sets.condensed import CondensedSet
from bench.storage.paging import Passage
from bench.training.testing import BATCH


@torch.no_grad()
def recognition(network: nn.Module, condensed: CondensedSet, task: Task) -> dict[str, float]:
    """Top-1 in percent and mean cross-entropy of a network on the images that are trained on, against their classes.

    They are as a user reads them, without augmentation, and the arithmetic is fp32 whatever the task's is.

    Args:
        network: in evaluation mode, on the task's device.

    Raises:
        RunFailure: its logits are not finite.
    """
    condensed = condensed.decoded()
    hits, loss = torch.zeros(2, dtype=torch.float64, device=task.device)
    passage = Passage(unchanged=True)
    with computing_in("fp32"):
        for indices in torch.arange(len(condensed.images)).split(BATCH):
            part = replace(condensed, images=condensed.images.at(indices))
            classes = part.images.classes.to(task.device, non_blocking=True)
            logits = network(part.normalised().to(task.device, non_blocking=True)).float()
            hits += (logits.argmax(1) == classes).sum()
            loss += F.cross_entropy(logits, classes, reduction="sum").double()
            passage.use(part.images.pixels.nbytes, [condensed.images.pixels])
    if not bool(torch.isfinite(loss)):
        raise RunFailure("the teacher's logits on the set are not finite")
    count = len(condensed.images)
    return {"top1": 100 * float(hits) / count, "cross_entropy": float(loss) / count}
