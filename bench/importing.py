"""Condensed sets that somebody else made: a folder with a manifest.json, written by us or by hand.

By hand it is short. Images in folders named by class id, or in Parquet files, are read as a dataset's are:

    {"source": {"layout": "image-folder", "options": {"train": "images"}}, "method": "rded", "protocol": "soft"}

Tensors come from one safetensors, NumPy (.npz) or PyTorch file (read without pickle):

    {"source": {"file": "set.pt", "images": "images", "labels": "labels", "range": "normalised"}, "method": "mtt"}

`range` is "0..255", "0..1" or "normalised" (by `mean` and `std`, which default to the dataset's). Labels are class
indices in the order of `classes`, which defaults to the dataset's class order.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file
from torch import Tensor

from bench import condensed as sets
from bench.cards import DatasetCard, SourceCard, validated
from bench.condensation import Images
from bench.condensed import CondensedSet
from bench.data.decoding import Decoder, View
from bench.errors import CorruptArtefact, UsageError
from bench.files import digest, file_digest, read_json
from bench.imagery import Dataset, Normalisation, Reader
from bench.labels import HardLabels


class TensorSource(BaseModel):
    """Images and labels in one file, under two names."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str
    images: str = "images"
    labels: str = "labels"
    range: Literal["0..255", "0..1", "normalised"]


class HandWritten(BaseModel):
    """A manifest written by hand."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: TensorSource | SourceCard
    method: str = "imported"
    protocol: str = "hard"
    classes: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    learned_lr: Annotated[float, Field(gt=0)] | None = None


def about(folder: Path) -> dict[str, Any]:
    """The manifest of a set: ours, or one written by hand and validated.

    Raises:
        UsageError: there is none, or it is not a manifest; the line names the field.
    """
    path = folder / "manifest.json"
    try:
        manifest = read_json(path, sealed=False)
    except FileNotFoundError:
        raise UsageError(f"no condensed set at {folder}: looked for {path}") from None
    except CorruptArtefact as error:
        raise UsageError(str(error)) from error
    if "source" not in manifest and "files" in manifest:
        return manifest
    source = manifest.get("source")
    if isinstance(source, dict):  # first, because the message for a choice of two says nothing
        validated(TensorSource if "file" in source else SourceCard, source, f"{path}, source")
    return validated(HandWritten, manifest, str(path)).model_dump()


def fingerprint(folder: Path) -> str:
    """A hash of every file of the set: another content is another run."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest({str(path.relative_to(folder)): file_digest(path) for path in files})


def read(folder: Path, dataset: Dataset, readers: Callable[[str], type[Reader]]) -> CondensedSet:
    """The set at a folder, its labels in the dataset's class order and its floats in the dataset's normalisation.

    Raises:
        UsageError: no set there, or one that does not fit the dataset.
        CorruptArtefact: one of ours that was altered.
    """
    manifest = about(folder)
    if "source" not in manifest:
        return sets.load(folder)
    hand = HandWritten.model_validate(manifest)
    classes = hand.classes or dataset.classes
    if sorted(classes) != sorted(dataset.classes):
        stray = sorted(set(classes) ^ set(dataset.classes))
        raise UsageError(f"the classes of {folder} are not those of {dataset.name} here: {', '.join(stray[:3])}")
    if isinstance(hand.source, TensorSource):
        images = _from_tensors(folder, hand, hand.source, dataset.normalisation)
    else:
        images = _from_layout(folder, hand.source, dataset, readers)
    _check(images, dataset, len(classes), folder)
    order = torch.tensor([dataset.classes.index(name) for name in classes])
    ordered = Images(images.pixels, order[images.classes])
    return CondensedSet(ordered, HardLabels(), dataset.classes, dataset.normalisation, hand.learned_lr)


def _from_layout(
    folder: Path, source_card: SourceCard, dataset: Dataset, readers: Callable[[str], type[Reader]]
) -> Images:
    """Images that a dataset's reader can read; what the reader calls the training split is the set."""
    shape = {"resolution": dataset.resolution, "channels": dataset.channels, "mean": dataset.normalisation.mean}
    fields = {**shape, "std": dataset.normalisation.std, "class_ids": dataset.classes, "sources": (source_card,)}
    card = DatasetCard.model_validate({"name": "condensed", **fields})
    reader = readers(source_card.layout)()
    validated(reader.Options, source_card.options, str(folder / "manifest.json"))
    source = reader.locate(card, source_card, folder.absolute())
    if source is None or "train" not in source.files:
        raise UsageError(f"no images at {folder}: looked for {reader.looked_for(card, source_card)}")
    labels = reader.labels(source, "train")
    return Images(Decoder(reader, source, "train", View.of(card)).decode(range(len(labels))), labels)


def _from_tensors(folder: Path, hand: HandWritten, source: TensorSource, normalisation: Normalisation) -> Images:
    path = folder / source.file
    tensors = _loaded(path)
    for name in (source.images, source.labels):
        if name not in tensors:
            raise UsageError(f"{path} holds no {name!r}; it has {', '.join(sorted(tensors)) or 'nothing'}")
    pixels, classes = tensors[source.images], tensors[source.labels]
    if not (isinstance(pixels, Tensor) and isinstance(classes, Tensor)) or pixels.ndim != 4 or classes.ndim != 1:
        raise UsageError(f"{path}: images must be one tensor (N, C, H, W) and labels one of N class indices")
    classes = classes.long()
    if source.range == "0..255":
        return Images(pixels.round().clamp(0, 255).to(torch.uint8), classes)
    if source.range == "0..1":
        return Images(normalisation.apply(pixels.float() * 255), classes)
    theirs = Normalisation(hand.mean or normalisation.mean, hand.std or normalisation.std)
    shown = pixels.float() if theirs == normalisation else normalisation.apply(255 * theirs.invert(pixels.float()))
    return Images(shown, classes)


def _loaded(path: Path) -> Mapping[str, Tensor]:
    """Named tensors of a file, without running anything that it holds."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays}
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # each library has errors of its own for a damaged file
        raise UsageError(f"{path} is not a readable tensor file: {str(error).splitlines()[0]}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds a {type(found).__name__}; a dict of named tensors is expected")
    return found


def _check(images: Images, dataset: Dataset, classes: int, folder: Path) -> None:
    shape = (dataset.channels, dataset.resolution, dataset.resolution)
    if tuple(images.pixels.shape[1:]) != shape or len(images.pixels) != len(images.classes):
        raise UsageError(f"the images of {folder} have shape {tuple(images.pixels.shape)}, not (N, {shape})")
    if len(images) == 0 or int(images.classes.min()) < 0 or int(images.classes.max()) >= classes:
        raise UsageError(f"the labels of {folder} are not class indices 0 to {classes - 1}")


def images_per_class(classes: Tensor, names: Sequence[str], folder: Path) -> int:
    """How many images each class has.

    Raises:
        UsageError: not the same number each, which the suite's tables cannot say.
    """
    counts = torch.bincount(classes, minlength=len(names))
    if int(counts.min()) != int(counts.max()):
        few, many = names[int(counts.argmin())], names[int(counts.argmax())]
        found = f"{few} has {int(counts.min())}, {many} has {int(counts.max())}"
        raise UsageError(f"the classes of {folder} have different numbers of images: {found}")
    return int(counts[0])
