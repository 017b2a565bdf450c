"""The tensors that a manifest written by hand names, each where it lies."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from bench.data.datasets import Dataset
from bench.interchange.handwritten import TensorSource
from bench.sets.tensor_files import first_held, named
from bench.sets.wellformed import uneven


def tensors_of(folder: Path, source: TensorSource, dataset: Dataset) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Images, labels, and soft labels, where each is. Raises UsageError: they are not there, or do not fit."""
    path, apart = folder / source.file, folder / (source.labels_file or source.file)
    own = source.own_labels
    beside = apart if own is None or first_held(apart, [(own,)]) else path
    asked = (("labels", source.labels, apart), ("soft", own, beside))
    named_so = [(what, name, place) for what, name, place in asked if name is not None]
    found = {what: named(place, name, fits=_anything)[0] for what, name, place in named_so if place != path}
    here = {what: name for what, name, place in named_so if place == path}
    known = {what: tuple(tensor.shape) for what, tensor in found.items()}
    pixels, *others = named(path, source.images, *here.values(), fits=partial(_unfit, source, dataset, known, here))
    found |= dict(zip(here, others, strict=True))
    return pixels, found.get("labels"), found.get("soft")


def _anything(_: Mapping[str, tuple[int, ...]]) -> str:
    return ""


def _unfit(
    source: TensorSource,
    dataset: Dataset,
    apart: Mapping[str, tuple[int, ...]],
    here: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
) -> str:
    """What is wrong with the shapes of tensors of a set; looked at before any arithmetic, and before they are read.

    Args:
        apart: those of labels and soft labels that lie in another file.
        here: the names of those that lie with the images.
    """
    known = {**apart, **{what: shapes[name] for what, name in here.items()}}
    images, soft = shapes[source.images], known.get("soft")
    labels = known["labels"] if "labels" in known else (soft or ())[:1]
    expected = (dataset.channels, dataset.resolution, dataset.resolution)
    if len(images) != 4 or len(labels) != 1:
        return f"images must be one tensor (N, C, H, W) and labels one of N class indices, not {images} and {labels}"
    if images[1:] == expected and images[0] != labels[0]:
        return uneven(images[0], labels[0])
    if images != (*labels, *expected):  # one channel against three would be stretched to three without a word
        return f"the images have shape {images}, not {(*labels, *expected)}"
    if soft is not None and soft != (*labels, len(dataset.classes)):
        return f"the soft labels {source.own_labels!r} have shape {soft}, not {(*labels, len(dataset.classes))}"
    return ""
