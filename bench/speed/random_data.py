"""A dataset of a card's shape and size, filled with noise: what a step costs does not depend on what images show."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench import seeds
from bench.data.cards import DatasetCard
from bench.data.datasets import Dataset, Normalisation, Split, TensorSplit
from bench.storage.files import digest

POOL = 64  # different images; the others repeat them, so that any number of images takes little memory
PER_CLASS = 500  # training images of a class where the card does not say how many there are
TEST_IMAGES = 2  # a network that was never trained is tested in no time


@dataclass
class RandomSplit(Split):
    """As many images as there are labels, out of a small pool."""

    pool: Tensor  # uint8 (P, C, H, W)
    labels: Tensor

    def take(self, indices: Tensor) -> Tensor:
        """uint8 (len(indices), C, H, W)."""
        return self.pool[indices % len(self.pool)]

    def moved(self, device: torch.device, room: int) -> Split:
        """See `Split`. All images then lie there, as those of a dataset do: they count in a peak of memory."""
        if len(self) * self.pool[:1].nbytes > room:
            return self
        places = torch.arange(len(self), device=device) % len(self.pool)
        return TensorSplit(self.pool.to(device)[places], self.labels)


def random_dataset(card: DatasetCard, classes: int, ipc: int) -> Dataset:
    """Noise in the card's shape, as many images a class as the card says; nothing is read from disk.

    Args:
        classes: how many to have, which may be others than the card's.
        ipc: there are at least so many training images of each class.
    """
    shape = (POOL, card.channels, card.resolution, card.resolution)
    pool = torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeds.generator("random pixels"))
    per_class = max(ipc, card.images["train"] // card.classes if card.classes and "train" in card.images else PER_CLASS)
    names = tuple(f"{index:05}" for index in range(classes))
    return Dataset(
        name=card.name,
        card_hash=digest(["random pixels", card.hash(), classes]),
        resolution=card.resolution,
        channels=card.channels,
        classes=names,
        class_names=names,
        normalisation=Normalisation(card.mean, card.std),
        train=RandomSplit(pool, torch.arange(classes).repeat(per_class)),
        test=RandomSplit(pool, torch.arange(TEST_IMAGES)),
    )
