"""A test split cut out of the training images, where a card says so: by class, drawn once and for all by a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import seeds
from bench.data.cards import DatasetCard, SplitCard, SplitName
from bench.data.datasets import Reader, Source
from bench.data.labels import labels_of
from bench.errors import UsageError


@dataclass(frozen=True)
class Part:
    """The images of a source's split `origin` that make up a split of the dataset: indices, ascending, and labels."""

    origin: SplitName
    indices: Tensor
    labels: Tensor


def parts_of(card: DatasetCard, reader: Reader, source: Source) -> dict[SplitName, Part]:
    """Every split of the dataset in a source, as its card wants it.

    Raises:
        UsageError: a class with too few images to cut.
        RunFailure: a damaged file.
    """
    labels = {name: labels_of(reader, source, name) for name in source.files}
    if card.split is None:
        return {name: Part(name, torch.arange(len(each)), each) for name, each in labels.items()}
    if "train" not in labels:
        return {}
    return {
        name: Part("train", indices, labels["train"][indices])
        for name, indices in cut(card.split, labels["train"], source.classes).items()
    }


def cut(split: SplitCard, labels: Tensor, classes: Sequence[str]) -> Mapping[SplitName, Tensor]:
    """Which training images stay and which become the test split: ascending indices of each.

    The draw depends on the seed, the class ids and the order of each class's images; not on machine or other classes.

    Raises:
        UsageError: a class with a single image, which can be on one side only.
    """
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    if single := [name for name, count in zip(classes, counts, strict=True) if count == 1]:
        raise UsageError(f"no test split can be cut out of class {single[0]}: it has one image")
    return stratified(labels, classes, split.test, "split", split.seed)


def stratified(labels: Tensor, classes: Sequence[str], share: float, *names: str | int) -> dict[SplitName, Tensor]:
    """Draws a share of each class as the test split; of two or more images at least one stays on either side.

    Args:
        labels: int64 (N,), indices into `classes`.
        share: of each class, above 0 and below 1; rounded to whole images.
        names: seed the draw, together with each class id.
    """
    tested = torch.zeros(len(labels), dtype=torch.bool)
    for index, name in enumerate(classes):
        of_class = torch.nonzero(labels == index).flatten()
        count = min(max(1, round(len(of_class) * share)), len(of_class) - 1)
        order = torch.randperm(len(of_class), generator=seeds.generator(*names, name))
        tested[of_class[order[: max(0, count)]]] = True
    return {"train": torch.nonzero(~tested).flatten(), "test": torch.nonzero(tested).flatten()}
