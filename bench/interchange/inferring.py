"""A set without a manifest: what its files alone say, or one line that names the field of a manifest which is needed.

Read are the layouts in which sets are published: a folder of pictures for each class (SRe2L and its descendants,
CV-DD and FADRM among them: newNNN; RDED: NNNNN; others by class id), Parquet files, a WebDataset shard, the tensors of
DC and DM ({'data': [[images, labels], ...]}) and of MTT (images_best.pt, labels_best.pt).

Pixels of tensors tell their range, but normalised and ZCA-whitened ones look alike. What is left of the likeness of
neighbours tells them apart: of normalised CIFAR-10 the correlation is 0.93, of the digits 0.54, whitened with MTT's
eps of 0.1 it is 0.38, with smaller ones less.
"""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.data.folders import SUFFIXES
from bench.errors import UsageError, why
from bench.interchange.handwritten import FKD_EPOCH, HandWritten, Range
from bench.interchange.pixels import far_outside
from bench.sets.own_manifest import IMAGES, LABELS
from bench.sets.tensor_files import ALONE, first_held, named, shapes_held, type_of
from bench.storage.run_folder import CONDENSED, MANIFEST
from bench.storage.users_files import require_content

PAIRS = (("data.0.0", "data.0.1"), ("images", "labels"), ("image", "label"))  # names of images and their labels
APART = ("images_best.pt", "labels_best.pt")
TENSORS = (".pt", ".pth", ".npz", ".safetensors")
BESIDE = {LABELS: "labels", "zca.safetensors": "zca", IMAGES: "files"}  # of our own sets, whose manifest is lost
ALIKE = 0.5  # correlation of neighbours from which pixels are not whitened
OUTSIDE = 0.1  # so many of normalised values lie far outside 0..1, at least


def inferred(folder: Path) -> HandWritten:
    """The manifest that would be written by hand.

    Raises:
        UsageError: there is nothing to read, or what is there leaves open what a manifest must say.
    """
    if (meant := _meant(folder)) or not folder.is_dir():
        raise UsageError(f"no condensed set at {folder}: {meant or f'looked for {folder / MANIFEST}'}")
    try:
        for name, field in BESIDE.items():
            if (folder / name).exists():
                raise _open(folder, field, f"{name} lies there, which a manifest says how to read")
        if (labels := next(_batches(folder), None)) is not None:
            raise _open(folder, "labels", f"{labels} holds stored soft labels, whose temperature nothing else says")
        return HandWritten.model_validate({"source": _source(folder)})
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {why(error)}") from error


def _meant(folder: Path) -> str:
    """What to name in place of a file, of a run's folder or of a folder of runs, whose sheets look like a class'."""
    if folder.is_file():
        return f"it is a file; name the folder that holds it, {folder.parent}"
    if (folder / CONDENSED / MANIFEST).is_file():
        return f"did you mean {folder / CONDENSED}?"
    run = next((path.parent for path in sorted(folder.glob(f"*/{CONDENSED}/{MANIFEST}"))), None)
    return f"it holds runs; name the set of one, such as {run}" if run else ""


def _open(folder: Path, field: str, reason: str) -> UsageError:
    return UsageError(f"{folder} has no {MANIFEST}, and {reason}: write one that states {field!r} (docs/concepts.md)")


def _batches(folder: Path) -> Iterator[Path]:
    """Folders of labels stored batch by batch."""
    yield from (path.parent for pattern in (FKD_EPOCH, f"*/{FKD_EPOCH}") for path in folder.glob(pattern))


def _source(folder: Path) -> dict[str, Any]:
    tensors = sorted(path.name for path in folder.iterdir() if path.suffix in TENSORS and path.is_file())
    if tensors:
        return _of_tensors(folder, tensors)
    for layout, patterns in {
        "parquet": ("train*.parquet", "data/train*.parquet"),
        "webdataset": ("train*.tar",),
    }.items():
        if any(next(folder.glob(pattern), None) for pattern in patterns):
            return {"layout": layout}
    return {"layout": "image-folder", "options": {"train": _pictures(folder)}}


def _pictures(folder: Path) -> str:
    """Which folder holds the classes' folders: the set's, or one below it."""
    if _has_classes(folder):
        return "."
    found = sorted(path.name for path in folder.iterdir() if path.is_dir() and _has_classes(path))
    if not found:
        looked = f"{folder / MANIFEST}, tensors, Parquet files, shards, and folders of pictures for each class"
        raise UsageError(f"no condensed set at {folder}: looked for {looked}")
    if len(found) > 1 and "train" not in found:
        raise _open(folder, "source.options.train", f"{found[0]} and {found[1]} both hold pictures by class")
    return "train" if "train" in found else found[0]


def _has_classes(place: Path) -> bool:
    """Whether at least two folders hold pictures."""
    folders = (path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sum(any(file.suffix.lower() in SUFFIXES for file in path.iterdir()) for path in folders) > 1


def _of_tensors(folder: Path, files: Sequence[str]) -> dict[str, Any]:
    """The source of one file with images and labels, or of MTT's two."""
    if set(APART) <= set(files):
        images, labels, where = ALONE, ALONE, dict(zip(("file", "labels_file"), APART, strict=True))
    elif len(files) > 1:
        raise _open(folder, "source.file", f"{files[0]} and {files[1]} may both be it")
    elif (pair := first_held(folder / files[0], PAIRS)) is None:
        raise _unnamed(folder, files[0])
    else:
        images, labels, where = *pair, {"file": files[0]}
    path = folder / where["file"]
    _check_labels(folder, folder / where.get("labels_file", where["file"]), labels)
    require_content(path)
    about = path.stat()
    found = _range(path, images, about.st_mtime_ns, about.st_size)
    if found is None:
        raise _open(folder, "source.range", f"whether {path.name} is 0..1, normalised or whitened cannot be told")
    return {**where, "images": images, "labels": labels, "range": found}


def _unnamed(folder: Path, file: str) -> UsageError:
    """What a file holds under other names than ours, and what to write where two tensors look like the two."""
    held = shapes_held(folder / file)
    shown = ", ".join(f"{name!r} {shape}" for name, shape in held.items()) or "no tensors"
    images = [name for name, shape in held.items() if len(shape) == 4]
    labels = [name for name, shape in held.items() if len(shape) == 1]
    said = f"{folder} has no {MANIFEST}, and {file} holds {shown}, not 'images' and 'labels': write one that names them"
    if len(images) == len(labels) == 1:
        source = {"file": file, "images": images[0], "labels": labels[0], "range": "0..1"}
        said += f", such as {json.dumps({'source': source, 'method': 'theirs'})}"
    return UsageError(f"{said} (docs/concepts.md)")


def _check_labels(folder: Path, path: Path, name: str) -> None:
    (labels,) = named(path, name, fits=lambda shapes: "")
    if labels.ndim == 1 and labels.is_floating_point():
        raise UsageError(f"the labels in {path} are {type_of(labels)}; class indices are whole numbers: save int64")
    if labels.ndim != 1:
        shape = f"{name!r} in {path.name} has shape {tuple(labels.shape)}, not (N)"
        raise UsageError(
            f"{folder} has no {MANIFEST}, and {shape}: write one whose source says {json.dumps('labels')}: null, and "
            f"names them as 'source.soft', if they are probabilities, or 'source.logits' (docs/concepts.md)"
        )


@lru_cache(maxsize=8)
def _range(path: Path, name: str, changed: int, size: int) -> Range | None:
    """Of pixels (N, C, H, W); None where they leave it open."""
    (pixels,) = named(path, name, fits=lambda shapes: "")
    if not pixels.is_floating_point():
        return "0..255"
    values = pixels.float()
    low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 0.0)
    if low >= 0 and high <= 1:
        return "0..1"
    if low >= 0 and 2 < high <= 255:
        return "0..255"
    outside = far_outside(values) / max(values.numel(), 1)
    return "normalised" if outside > OUTSIDE and values.ndim == 4 and likeness(values) >= ALIKE else None


def likeness(pixels: Tensor) -> float:
    """The correlation of neighbours in images (N, C, H, W), each channel around its mean: 1 where all is smooth."""
    around = pixels - pixels.mean((0, 2, 3), keepdim=True)
    pairs = ((around[..., :-1], around[..., 1:]), (around[..., :-1, :], around[..., 1:, :]))
    found = [(one * other).mean() / ((one**2).mean() * (other**2).mean()).sqrt() for one, other in pairs]
    return float(torch.nan_to_num(torch.stack(found)).mean())
