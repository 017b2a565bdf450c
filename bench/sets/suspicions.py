"""What a set that the suite's own methods did not make may hold unseen: images of the test split, others' labels."""

from collections.abc import Callable

import torch
from torch import Tensor

from bench.data.datasets import Dataset
from bench.results.label_fit import LabelFit
from bench.sets.condensed import CondensedSet
from bench.sets.label_fit import fit_of_labels
from bench.sets.overlap import count_in


def among_tested(found: CondensedSet, dataset: Dataset) -> str:
    """How many of a set's images are, pixel by pixel, some that it is tested on, in words; "" for none.

    Args:
        found: the set as networks see it (`CondensedSet.decoded`).
    """
    tested = count_in(dataset.test, found.images.pixels, _shown(found))
    if not tested:
        return ""
    whose = f"{tested:,} of its {len(found.images):,} images" if tested > 1 else "1 of its images"
    return f"{whose} {'are' if tested > 1 else 'is'} in the test split, with the same pixels"


def fit_of(found: CondensedSet, dataset: Dataset) -> LabelFit | None:
    """How well the classes of a set's images fit the dataset's (`bench.sets.label_fit`)."""
    images = found.images
    return fit_of_labels(images.pixels, images.classes, dataset.test, len(dataset.classes), _shown(found))


def _shown(found: CondensedSet) -> Callable[[Tensor], Tensor]:
    """Makes pixels of a set float, in [0, 1] for images that pixels can show."""

    def shown(pixels: Tensor) -> Tensor:
        return pixels.float() / 255 if pixels.dtype == torch.uint8 else found.preprocessing.invert(pixels.float())

    return shown
