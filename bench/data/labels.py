"""The labels of a split as its reader has them, held to what they must be before anybody counts by them."""

import torch
from torch import Tensor

from bench.data.cards import SplitName
from bench.data.datasets import Reader, Source
from bench.errors import RunFailure


def labels_of(reader: Reader, source: Source, split: SplitName) -> Tensor:
    """int64 (N,): the class index of each image of the split, which is there.

    Raises:
        RunFailure: a damaged file, or labels that are none; the message names the layout.
    """
    labels: object = reader.labels(source, split)
    who = f"the reader of the layout {source.layout!r} gives as labels of {split}"
    if not isinstance(labels, Tensor):
        raise RunFailure(f"{who} a {type(labels).__name__}; an int64 tensor (N,) is expected")
    if labels.dtype != torch.int64 or labels.ndim != 1:
        kind = str(labels.dtype).removeprefix("torch.")
        raise RunFailure(f"{who} {kind} of shape {tuple(labels.shape)}; int64 (N,) is expected")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(source.classes):
        found, classes = f"{int(labels.min())} to {int(labels.max())}", len(source.classes)
        raise RunFailure(f"{who} {found}, not indices of {classes} classes")
    return labels
