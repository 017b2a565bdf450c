"""The images that were read of a set, before the rest of its manifest is."""

from dataclasses import dataclass
from pathlib import Path

from bench.condensation import ImageFiles, Images
from bench.interchange.class_order import ClassOrder


@dataclass(frozen=True)
class Part:
    """Images in the order of their labels, what these mean, what to say of them, and the files that were read.

    Attributes:
        published: as of `bench.interchange.reading.Foreign`.
        learned_lr: a step size that lies beside them.
    """

    images: Images
    order: ClassOrder
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    published: ImageFiles | None = None
    learned_lr: float | None = None


def in_order(images: Images, order: ClassOrder) -> Images:
    """The images with their classes, and the columns of their own labels, in the dataset's class order."""
    columns = order.positions.argsort()
    soft, targets = (None if each is None else each[:, columns] for each in (images.soft, images.targets))
    return Images(images.pixels, order.positions[images.classes], soft, targets=targets)
