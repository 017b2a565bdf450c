"""Units as one set: as many images of each class as are asked for, and pixels of one type."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from bench.condensation import Images
from bench.errors import RunFailure
from bench.sets.tensor_files import type_of


def check_counts(images: Images, sizes: Sequence[int], classes: Sequence[str]) -> None:
    """Refuses another number of images of a class than `sizes` says, which has one for each of `classes`."""
    counts = torch.bincount(images.classes, minlength=len(classes)).tolist()
    wrong = [place for place, asked in enumerate(sizes) if counts[place] != asked]
    if not wrong:
        return
    said = f"the method made {_listed(counts)} images a class, not {_listed(sizes)}"
    if len(wrong) == len(classes):
        raise RunFailure(said)
    others = f" and of {len(wrong) - 1} more" if len(wrong) > 1 else ""
    raise RunFailure(f"{said} ({counts[wrong[0]]} of class {classes[wrong[0]]}{others})")


def of_one_type(some: Iterable[Tensor]) -> Iterator[Tensor]:
    """Pixels of units as they are stored. Raises RunFailure: some are levels and others normalised."""
    found = set[str]()
    for pixels in some:
        found.add(type_of(pixels))
        if len(found) > 1:
            raise RunFailure(f"units made {' and '.join(sorted(found))} pixels; those of a set are of one type")
        yield pixels


def _listed(sizes: Iterable[int]) -> str:
    """As "2", or "2, 3" where classes have different numbers."""
    return ", ".join(map(str, sorted(set(sizes))))
