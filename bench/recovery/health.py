"""A check of teachers: R_BN must be clearly smaller on real images than on noise, or recovery has no target.

A teacher whose running statistics do not describe the data (other normalisation constants,
statistics that drifted) shows here before any image is recovered.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from bench import seeds
from bench.condensation import Task
from bench.data.datasets import Dataset
from bench.loops.pace import Pace
from bench.recovery.layers import layers_of, watched
from bench.recovery.pool import Member
from bench.recovery.recipes import MatchingRecipe
from bench.recovery.statistics import Moments
from bench.recovery.terms import distance
from bench.storage.shared.stages import Made

VERSION = 1
IMAGES = 1000  # a sample of this size has statistics close to the whole set's
CHUNK = 100  # divides it
ALONE = MatchingRecipe(iterations=1, lr=1.0, bn_weight=1.0)  # BatchNorm's statistics and no others


def record_health(task: Task, network: nn.Module, teacher: str) -> None:
    """Puts `teacher_bn_loss_real` and `teacher_bn_loss_noise` into what the task measured.

    They are R_BN (all weights 1) of a class-balanced sample of training images and of N(0, 1) noise; measured once
    a teacher and kept as a stage. Nothing is done where there are no training images; both are None where the task's
    pace leaves all images out.

    Args:
        task: whose dataset, device, pace and stages to use.
        network: in evaluation mode.
        teacher: the content hash of the stage that holds its weights.
    """
    if not len(task.dataset.train):
        return

    def make(_: Path) -> Made:
        real, noise = _sample(task.dataset, task.pace), _noise(task.dataset, task.pace)
        facts = {"real": population_bn_loss(network, real), "noise": population_bn_loss(network, noise)}
        return Made({}, facts)

    facts = task.stage("bn-health", VERSION, {"teacher": teacher}, make).facts
    task.measured.teacher_bn_loss_real, task.measured.teacher_bn_loss_noise = facts["real"], facts["noise"]
    if None not in facts.values() and facts["real"] >= facts["noise"]:
        task.progress.warn(
            f"the teacher's BatchNorm statistics fit noise (R_BN {facts['noise']:.3g}) no worse than training images "
            f"({facts['real']:.3g}); images recovered from it will not look like the data"
        )


@torch.no_grad()
def population_bn_loss(network: nn.Module, chunks: Iterable[Tensor]) -> float | None:
    """R_BN, all weights 1, of all images together, given a chunk (B, C, H, W) in normalised space at a time.

    None of no images at all.
    """
    goals = Member(network).goals(ALONE)
    sums: dict[int, Tensor] = {}
    images = 0
    for chunk in chunks:
        images += len(chunk)
        with watched(layers_of(network, ALONE.match), ALONE.patch) as found:
            network(chunk.to(next(network.parameters()).device))
        for place, (mean, variance) in found.items():
            raw = len(chunk) * torch.stack([mean, variance + mean.square()]).double()
            sums[place] = sums[place] + raw if place in sums else raw
    if not images:
        return None
    return float(sum(distance(_moments(sums[place] / images), goals[place]) for place in sorted(sums)))


def _moments(raw: Tensor) -> Moments:
    mean, second = raw
    return mean, second - mean.square()


def _sample(dataset: Dataset, pace: Pace) -> Iterator[Tensor]:
    """As many training images of each class, `IMAGES` or a few more where the classes have them."""
    each = math.ceil(IMAGES / len(dataset.classes))
    draws = seeds.generator("bn health", "real")
    order = torch.randperm(len(dataset.train), generator=draws)
    labels = dataset.train.labels[order]
    chosen = torch.cat([order[labels == index][:each] for index in range(len(dataset.classes))])
    chunks = torch.split(chosen, CHUNK)
    for number in pace.walk("bn health", 0, len(chunks)):
        yield dataset.normalisation.apply(dataset.train.take(chunks[number]))


def _noise(dataset: Dataset, pace: Pace) -> Iterator[Tensor]:
    draws = seeds.generator("bn health", "noise")
    shape = (dataset.channels, dataset.resolution, dataset.resolution)
    for _ in pace.walk("bn health", 0, IMAGES // CHUNK):
        yield torch.randn(CHUNK, *shape, generator=draws)
