"""Labels that lie beside a set's images in a form of their own: stored by somebody else for every view, or ours."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bench.condensation import Images, Task
from bench.data.datasets import Dataset
from bench.errors import MISFITS, CorruptArtefact, UnreadableArtefact, UsageError, why
from bench.interchange.class_order import ClassOrder, of_numbers
from bench.interchange.handwritten import FkdSource, HandWritten, KeptLabels
from bench.labels import Labels, StoredLabels, TeacherRef, labels_from
from bench.results.chance import are_no_better, largest_share
from bench.storage.tensor_files import read_tensors
from bench.training.soft_labels.fkd import FkdFolder
from bench.training.soft_labels.label_files import reserved
from bench.training.soft_labels.recorded import BATCH, ORDER, PARTNERS


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


def kept_labels(folder: Path, hand: HandWritten, kept: KeptLabels, own: Images, dataset: Dataset) -> Labels:
    """The labels that a run made for a set's images, which are in the same order.

    Raises:
        UsageError: they are not there, damaged, or of other images or classes.
    """
    path = folder / kept.kept
    if hand.classes != dataset.classes:
        raise UsageError(f"{path} has labels in the order of 'classes', which must be that of {dataset.name}")
    weights = [folder / each for each in kept.teachers]
    if lacking := next((each for each in weights if not each.is_file()), None):
        raise UsageError(f"the set's teacher {lacking} is not there")
    try:
        tensors, _ = read_tensors(path)
        labels = labels_from(kept.facts.to_json(), tensors, weights)
        same = torch.equal(tensors["classes"], own.classes)
    except (CorruptArtefact, UnreadableArtefact, FileNotFoundError, *MISFITS) as error:
        raise UsageError(f"{path} does not hold the labels that the manifest names: {why(error)}") from error
    if not same:
        raise UsageError(f"{path} holds labels of other images, or of these in another order")
    return labels


def stored_labels(task: Task, folder: Path, hand: HandWritten, own: Images) -> StoredLabels:
    """The labels of a set's images, stored class by class, with the views that the teacher saw.

    They are written into a memory-mapped file in the task's workspace; the logits returned are backed by it.

    Args:
        own: the set's images in the order in which they are read, which their indices in the labels follow.

    Raises:
        UsageError: files that are not as FKD's are.
        OSError: no room for the file.
    """
    assert isinstance(hand.labels, FkdSource)
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
