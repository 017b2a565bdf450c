"""Preprocessed images, kept in memory where preprocessing every batch costs too much (ZCA whitening).

ZCA whitening multiplies every image by a matrix over all of its pixels: on CIFAR-10 6 % of the multiplications that a
training step of ConvNet-3 takes, and these in fp32 where the step's are in bf16. What comes out is the same in every
epoch of every training, so images are whitened at their first use, in chunks and on the device that trains, and held
in float32 where a split takes no more than `HELD` bytes so; those of larger ones are whitened a batch at a time. Values
are those of batches, bit for bit where products of matrices do not depend on their number of rows (so on an AMD EPYC).
"""

from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from bench.condensation import Task
from bench.data.datasets import Dataset, Split
from bench.loops.passes import walk
from bench.storage.paging import taken

HELD = 1 << 30  # bytes: 50,000 images of 3 x 32 x 32 take 0.6e9, 100,000 of 3 x 64 x 64 take 4.9e9
CHUNK = 1024  # images


def seen_once(task: Task) -> Task:
    """The task whose images are already what its networks see: float32, made at their first use.

    The same task where its preprocessing is not costly; a split that would take more than `HELD` bytes stays as it is.
    What is made is given up with the task.
    """
    dataset = task.dataset
    if not dataset.normalisation.costly:
        return task
    train, test = (_once(each, name, task) for name, each in (("train", dataset.train), ("test", dataset.test)))
    return replace(task, dataset=replace(dataset, train=train, test=test))


def _once(split: Split, name: str, task: Task) -> Split:
    return SeenSplit(split, name, task) if 0 < len(split) * _bytes(task.dataset) <= HELD else split


def _bytes(dataset: Dataset) -> int:
    """Of an image in float32."""
    return 4 * dataset.channels * dataset.resolution**2


class SeenSplit(Split):
    """A split whose images went through the task's preprocessing: float32 (N, C, S, S) on the task's device.

    Args:
        split: uint8 images.
        name: of the split, shown beside the progress.
        task: its preprocessing, device and pace. In a trial the first chunks are made, and the rest is left 0.
    """

    def __init__(self, split: Split, name: str, task: Task) -> None:
        self.labels = split.labels
        self._split, self._name, self._task = split, name, task

    def take(self, indices: Tensor) -> Tensor:
        """float32, on the device."""
        return taken(self._images, indices)

    def ready(self) -> bool:
        """Makes them. A loop that takes them asks for it beforehand: a trial would count it to its steps."""
        _ = self._images
        return True

    @cached_property
    def _images(self) -> Tensor:
        task, chunks = self._task, torch.arange(len(self)).split(CHUNK)
        dataset = task.dataset
        shape = (len(self), dataset.channels, dataset.resolution, dataset.resolution)
        images = torch.zeros(shape, device=task.device)
        for number in walk(task, f"{dataset.normalisation.kind} {self._name} images", len(chunks), once=True):
            chunk = self._split.take(chunks[number]).to(task.device, non_blocking=True)
            images[chunks[number]] = dataset.normalisation.apply(chunk)
        return images
