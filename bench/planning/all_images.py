"""How many images a set is to have; of a method that takes all training images no option decides it."""

from dataclasses import dataclass

import torch

from bench.data.datasets import Dataset
from bench.data.splits import UnavailableSplit
from bench.errors import UsageError
from bench.hardware.quantities import size

MOST_BYTES = 4 << 30  # of all images: a run keeps them twice, as its unit and in its set
SEED = 0  # nothing is drawn, so one run is that of every seed


@dataclass(frozen=True)
class Extent:
    """What a spec says of a set's size, and the seed of its synthesis: fields of `bench.results.spec.RunSpec`."""

    ipc: int
    seed: int
    images: int | None = None
    images_per_class: tuple[int, int] | None = None


def all_images(dataset: Dataset, method: str) -> Extent:
    """Of all training images of a dataset, as `method` takes them; where classes differ `ipc` is the rounded mean.

    Raises:
        UsageError: they are not here to be counted, or too large to be kept as a set; one line.
    """
    train, name = dataset.train, dataset.name
    if isinstance(train, UnavailableSplit):
        raise UsageError(f"{method} takes all training images of {name}, which cannot be counted: {train.reason}")
    if (taken := len(train) * dataset.channels * dataset.resolution**2) > MOST_BYTES:
        kept = f"{method} keeps all training images as a set, and those of {name} take {size(taken)}"
        raise UsageError(f"{kept}, more than {size(MOST_BYTES)}; name some classes by --classes")
    counts = torch.bincount(train.labels, minlength=len(dataset.classes))
    fewest, most = int(counts.min()), int(counts.max())
    ipc = round(len(train) / len(dataset.classes))
    return Extent(ipc, SEED) if fewest == most else Extent(ipc, SEED, len(train), (fewest, most))
