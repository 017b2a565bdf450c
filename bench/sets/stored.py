"""Labels that somebody else stored for every view of a set's images, as labels of ours."""

from pathlib import Path

import torch
from torch import Tensor

from bench.condensation import Images, Task
from bench.errors import UsageError
from bench.imagery import Dataset
from bench.labels import StoredLabels, TeacherRef
from bench.sets.manifest import FkdSource, HandWritten
from bench.training.fkd import FkdFolder
from bench.training.recorded import ORDER
from bench.training.stored import reserved


def look(folder: Path, source: FkdSource, images: int, dataset: Dataset) -> FkdFolder:
    """The stored labels of a set, looked at.

    Raises:
        UsageError: they are not there, or not of so many images and the dataset's classes.
    """
    found = FkdFolder.at(folder / source.fkd)
    if found.images != images:
        raise UsageError(f"{folder / source.fkd} holds labels of {found.images} images, the set has {images}")
    if found.classes != len(dataset.classes):
        count = len(dataset.classes)
        raise UsageError(f"{folder / source.fkd} holds labels of {found.classes} classes, not {count}")
    return found


def stored_labels(task: Task, folder: Path, hand: HandWritten, own: Images) -> StoredLabels:
    """The labels of a set's images, stored class by class, with the views that the teacher saw.

    They are written into a memory-mapped file in the task's workspace; the logits returned are backed by it.

    Args:
        own: the set's images in the order in which they are read, which their indices in the labels follow.

    Raises:
        UsageError: files that are not as FKD's are.
        OSError: no room for the file.
    """
    assert hand.labels is not None
    found = look(folder, hand.labels, len(own), task.dataset)
    logits = torch.from_numpy(reserved(task.workspace / "fkd.fp16", found.shape))
    record = found.read(logits, task.dataset.resolution, hand.labels.seed, task.progress)
    _arrange(logits, hand.classes, task.dataset)
    place = own.classes.argsort(stable=True).argsort()
    record[ORDER] = place[record[ORDER].long()].int()
    teacher = TeacherRef("", hand.labels.teacher, None, 0)
    return StoredLabels(teacher, hand.labels.temperature, 0, {}, logits, record)


def _arrange(logits: Tensor, classes: tuple[str, ...] | None, dataset: Dataset) -> None:
    """Puts the columns, which are in the order of `classes`, into the dataset's class order, epoch by epoch."""
    if classes is None or classes == dataset.classes:
        return
    columns = torch.tensor([classes.index(name) for name in dataset.classes])
    for epoch in logits:
        epoch.copy_(epoch[:, columns])
