"""Condensed sets that somebody else made: a folder with a manifest.json, written by us or by hand.

By hand it is short. Images in folders named by class id, or in Parquet files, are read as a dataset's are:

    {"source": {"layout": "image-folder", "options": {"train": "images"}}, "method": "rded", "protocol": "soft"}

Tensors come from one safetensors, NumPy (.npz) or PyTorch file (read without pickle):

    {"source": {"file": "set.pt", "images": "images", "labels": "labels", "range": "normalised"}, "method": "mtt"}

`range` is "0..255", "0..1", "normalised" (by `mean` and `std`, which default to the dataset's) or "whitened". Labels
are class indices in the order of `classes`, which defaults to the dataset's class order. Soft labels are a third
tensor, (N, K) probabilities, which the source names as "soft".

A set that belongs to ZCA-whitened data, whatever its range, brings the whitening, which test images then go through:

    {"source": {"file": "set.pt", "range": "whitened", "soft": "labels_soft"}, "method": "mtt",
     "zca": {"file": "zca.pt", "mean": "mean_vector", "matrix": "transform_matrix"}}

A flattened image x (C, H, W) in [0, 1] becomes (x - mean) matrix. Constants of a normalisation before it are folded in.
"""

import math
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
from bench.imagery import Dataset, Normalisation, Preprocessing, Reader
from bench.labels import HardLabels, SoftLabels, not_distributions
from bench.whitening import Whitening


class TensorSource(BaseModel):
    """Images and labels in one file, under two names; soft labels, if there are any, under a third."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str
    images: str = "images"
    labels: str = "labels"
    soft: str | None = None
    range: Literal["0..255", "0..1", "normalised", "whitened"]


class ZcaSource(BaseModel):
    """A whitening in one file, under two names: the mean of D numbers and the matrix (D, D) of `Whitening`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str
    mean: str = "mean"
    matrix: str = "matrix"


class HandWritten(BaseModel):
    """A manifest written by hand."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: TensorSource | SourceCard
    method: str = "imported"
    protocol: str = "hard"
    classes: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    zca: ZcaSource | None = None
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
    """The set at a folder: labels in the dataset's class order, floats in the dataset's normalisation or its whitening.

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
    preprocessing = _whitening(folder, hand.zca, dataset) if hand.zca else dataset.normalisation
    if isinstance(hand.source, TensorSource):
        images = _from_tensors(folder, hand, hand.source, preprocessing, dataset)
    else:
        images = _from_layout(folder, hand.source, dataset, readers)
    _check_labels(images, len(classes), folder)
    order = torch.tensor([dataset.classes.index(name) for name in classes])
    soft = None if images.soft is None else images.soft[:, order.argsort()]
    ordered = Images(images.pixels, order[images.classes], soft)
    labels = HardLabels() if soft is None else SoftLabels(soft)
    return CondensedSet(ordered, labels, dataset.classes, preprocessing, hand.learned_lr)


def _whitening(folder: Path, zca: ZcaSource, dataset: Dataset) -> Whitening:
    path, shape = folder / zca.file, (dataset.channels, dataset.resolution, dataset.resolution)
    mean, matrix = (tensor.float() for tensor in _named(path, zca.mean, zca.matrix))
    size = math.prod(shape)
    if mean.numel() != size or tuple(matrix.shape) != (size, size):
        found = f"{tuple(mean.shape)} and {tuple(matrix.shape)}"
        raise UsageError(f"{path}: mean and matrix must have {size} and ({size}, {size}) numbers, not {found}")
    if not bool(torch.isfinite(mean).all() & torch.isfinite(matrix).all()):
        raise UsageError(f"{path} holds NaN or infinity")
    return Whitening(mean.reshape(shape), matrix.contiguous())


def _from_layout(
    folder: Path, source_card: SourceCard, dataset: Dataset, readers: Callable[[str], type[Reader]]
) -> Images:
    """Images that a dataset's reader can read; what the reader calls the training split is the set."""
    shape = {"resolution": dataset.resolution, "channels": dataset.channels, "normalisation": "half"}  # not looked at
    fields = {**shape, "class_ids": dataset.classes, "sources": (source_card,)}
    card = DatasetCard.model_validate({"name": "condensed", **fields})
    reader = readers(source_card.layout)()
    validated(reader.Options, source_card.options, str(folder / "manifest.json"))
    source = reader.locate(card, source_card, folder.absolute())
    if source is None or "train" not in source.files:
        raise UsageError(f"no images at {folder}: looked for {reader.looked_for(card, source_card)}")
    labels = reader.labels(source, "train")
    pixels = Decoder(reader, source, "train", View.of(card)).decode(range(len(labels)))
    _check_shape(pixels, len(labels), dataset, folder)
    return Images(pixels, labels)


def _from_tensors(
    folder: Path, hand: HandWritten, source: TensorSource, preprocessing: Preprocessing, dataset: Dataset
) -> Images:
    path = folder / source.file
    pixels, classes, *soft = _named(path, source.images, source.labels, *([source.soft] if source.soft else []))
    if pixels.ndim != 4 or classes.ndim != 1:
        raise UsageError(f"{path}: images must be one tensor (N, C, H, W) and labels one of N class indices")
    _check_shape(pixels, len(classes), dataset, folder)
    if soft and (wrong := not_distributions(soft[0], len(pixels), len(dataset.classes))):
        raise UsageError(f"{path}: the soft labels {source.soft!r} {wrong}")
    if source.range == "whitened" and hand.zca is None:
        raise UsageError(f"{folder / 'manifest.json'}: range 'whitened' needs 'zca', the file with the whitening")
    shown = _in_its_range(pixels, hand, source, preprocessing, dataset)
    return Images(shown, classes.long(), soft[0].float() if soft else None)


def _in_its_range(
    pixels: Tensor, hand: HandWritten, source: TensorSource, preprocessing: Preprocessing, dataset: Dataset
) -> Tensor:
    """The pixels as uint8, or as floats of the preprocessing."""
    match source.range:
        case "0..255":
            return pixels.round().clamp(0, 255).to(torch.uint8)
        case "0..1":
            return preprocessing.apply(pixels.float() * 255)
        case "whitened":
            return pixels.float()
    own = dataset.own_normalisation
    assert isinstance(own, Normalisation)
    theirs = Normalisation(hand.mean or own.mean, hand.std or own.std)
    if {len(theirs.mean), len(theirs.std)} != {dataset.channels}:
        raise UsageError(f"'mean' and 'std' must have {dataset.channels} numbers each, one a channel of {dataset.name}")
    return pixels.float() if theirs == preprocessing else preprocessing.apply(255 * theirs.invert(pixels.float()))


def _named(path: Path, *names: str) -> list[Tensor]:
    """The tensors of a file that have these names."""
    held = _loaded(path)
    for name in names:
        if name not in held:
            raise UsageError(f"{path} holds no {name!r}; it has {', '.join(sorted(held)) or 'nothing'}")
        if not isinstance(held[name], Tensor):
            raise UsageError(f"{path}: {name!r} is a {type(held[name]).__name__}, not a tensor")
    return [held[name] for name in names]


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


def _check_shape(pixels: Tensor, count: int, dataset: Dataset, folder: Path) -> None:
    """Before any arithmetic: one channel against three would be stretched to three without a word."""
    expected = (count, dataset.channels, dataset.resolution, dataset.resolution)
    if tuple(pixels.shape) != expected:
        raise UsageError(f"the images of {folder} have shape {tuple(pixels.shape)}, not {expected}")


def _check_labels(images: Images, classes: int, folder: Path) -> None:
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
