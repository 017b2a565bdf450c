"""Labels that somebody else stored for every view of a set's images, as labels of ours."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bench.condensation import Images, Task
from bench.data.datasets import Dataset
from bench.errors import UsageError
from bench.labels import StoredLabels, TeacherRef
from bench.results.chance import are_no_better, largest_share
from bench.sets.class_order import ClassOrder, of_numbers
from bench.sets.manifest import FkdSource, HandWritten
from bench.training.fkd import FkdFolder
from bench.training.label_files import reserved
from bench.training.recorded import BATCH, ORDER, PARTNERS


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
    _arrange(logits, of_numbers(hand.classes, task.dataset, str(folder / hand.labels.fkd)))
    if (told := _told(logits[0], record, own.classes)) is not None:
        task.progress.warn(f"{folder / hand.labels.fkd}: {told}")
    place = own.classes.argsort(stable=True).argsort()
    record[ORDER] = place[record[ORDER].long()].int()
    teacher = TeacherRef("", hand.labels.teacher, None, 0)
    return StoredLabels(teacher, hand.labels.temperature, 0, {}, logits, record)


def _arrange(logits: Tensor, order: ClassOrder) -> None:
    """Puts the columns, which are labels 0, 1, ..., into the dataset's class order, epoch by epoch."""
    columns = order.positions.argsort()
    if torch.equal(columns, torch.arange(len(columns))):
        return
    for epoch in logits:
        epoch.copy_(epoch[:, columns])


def _told(logits: Tensor, record: Mapping[str, Tensor], classes: Tensor) -> str | None:
    """Why the answers of the first epoch (N, K) seem to be of other images, or None.

    Which image an answer is of is not written down. A wrong seed, a renamed image or other columns leave answers that
    name the class of their image, or of the one that it is mixed with, no more often than a guess.
    """
    shown = classes[record[ORDER][0].long()]
    hits, share = logits.argmax(1) == shown, largest_share(classes)
    if PARTNERS in record:
        starts = torch.arange(len(shown)) // record[BATCH] * record[BATCH]
        hits, share = hits | (logits.argmax(1) == shown[starts + record[PARTNERS][0].long()]), min(100.0, 2 * share)
    if not are_no_better(hits, share):
        return None
    return (
        f"the stored labels name the class of their image for {100 * hits.float().mean():.0f} % of the "
        "images, no more often than a guess; are the seed, the names of the images and 'classes' those that "
        "they were made with?"
    )
