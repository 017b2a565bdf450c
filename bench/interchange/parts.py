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
    """The images with their classes, and the columns of their soft labels, in the dataset's class order."""
    soft = None if images.soft is None else images.soft[:, order.positions.argsort()]
    return Images(images.pixels, order.positions[images.classes], soft)
