"""Normalised batches on the device, from wherever the images lie."""

import torch
from torch import Tensor

from bench.condensation import Task
from bench.data.datasets import Preprocessing, Split
from bench.training.views import BatchView, apply

RESIDENT_SHARE = 0.5  # of the free GPU memory that a training set may fill; the rest is for the training itself


class Feed:
    """The images of a split as normalised batches on a device.

    A split that is held in memory or in a mapped file (or some of its images) is copied to the GPU once where it fits,
    so that steps copy nothing; other splits give each batch as it is asked for. On a CPU it is resident already.

    Args:
        split: uint8 images, or float ones that are already in normalised space.
        normalisation: of the uint8 ones.
        device: where batches are wanted.
    """

    def __init__(self, split: Split, normalisation: Preprocessing, device: torch.device) -> None:
        self._split = _resident(split, device)
        self._device, self.normalisation = device, normalisation
        self._labels = split.labels.to(device)
        self._blank = normalisation.blank(torch.zeros((), device=device))

    @classmethod
    def of(cls, task: Task, split: Split | None = None) -> "Feed":
        """The task's training images, or those of another split, as its networks see them."""
        return cls(task.dataset.train if split is None else split, task.dataset.normalisation, task.device)

    def __len__(self) -> int:
        return len(self._labels)

    def images(self, indices: Tensor) -> Tensor:
        """float32 (len(indices), C, S, S) in normalised space, in the order asked for."""
        return self._ready(self._split.take(indices))

    def seen(self, view: BatchView) -> Tensor:
        """float32 (B, C, S, S): the batch of a view as networks see it."""
        return apply(view, self.images(view.indices), self._blank, self.normalisation)

    def labels(self, indices: Tensor) -> Tensor:
        """int64 (len(indices),), on the device."""
        return self._labels[indices.to(self._device, non_blocking=True)]

    def _ready(self, images: Tensor) -> Tensor:
        images = images.to(self._device, non_blocking=True)
        return self.normalisation.apply(images) if images.dtype == torch.uint8 else images.float()


def _resident(split: Split, device: torch.device) -> Split:
    if device.type != "cuda":
        return split
    free, _ = torch.cuda.mem_get_info(device)
    return split.moved(device, int(RESIDENT_SHARE * free))
