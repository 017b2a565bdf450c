"""A set without a manifest: what its files alone say, or one line that names the field of a manifest which is needed.

Read are the layouts in which sets are published: a folder of pictures for each class (SRe2L and its descendants,
CV-DD and FADRM among them: newNNN; RDED: NNNNN; others by class id), Parquet files, a WebDataset shard, the tensors of
DC and DM ({'data': [[images, labels], ...]}) and of MTT (images_best.pt, labels_best.pt).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data.folders import SUFFIXES
from bench.errors import UsageError, why
from bench.interchange.handwritten import FKD_EPOCH, HandWritten, TensorSource
from bench.interchange.looking import range_of
from bench.interchange.offering import likely_pair, offered, shown
from bench.sets.own_manifest import IMAGES, LABELS
from bench.sets.tensor_files import ALONE, first_held, named, shapes_held, type_of
from bench.storage.run_folder import CONDENSED, MANIFEST

FIRST = ("data.0.0", "data.0.1")  # of the sets that one file of DC's, DSA's and DM's holds, one an experiment
MOST = 64  # sets that are looked for in one
PAIRS = (FIRST, ("images", "labels"), ("image", "label"))  # names of images and their labels
APART = ("images_best.pt", "labels_best.pt")
TENSORS = (".pt", ".pth", ".npz", ".safetensors")
BESIDE = {LABELS: "labels", "zca.safetensors": "zca", IMAGES: "files"}  # of our own sets, whose manifest is lost


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


def _open(folder: Path, field: str, reason: str, such: str = "") -> UsageError:
    said = f"{folder} has no {MANIFEST}, and {reason}: write one that states {field!r}"
    return UsageError(f"{said}{such} (docs/concepts.md)")


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
    _check_labels(folder, where, images, labels)
    found = range_of(path, images).sure
    if found is None:
        reason = f"whether {path.name} is 0..1, normalised or whitened cannot be told"
        raise _open(folder, "source.range", reason, offered(folder, where, images, labels))
    return {**where, "images": images, "labels": labels, "range": found}


def first_of(folder: Path, source: TensorSource) -> str:
    """What to say where a file holds more sets than the one that is taken; "" where it is the only one."""
    if (source.images, source.labels) != FIRST:
        return ""
    runs = [tuple(f"data.{place}.0" for place in range(count)) for count in range(MOST, 1, -1)]
    several = first_held(folder / source.file, runs)
    return f" (the first of {len(several)} sets; a manifest names another, as 'data.1.0')" if several else ""


def _unnamed(folder: Path, file: str) -> UsageError:
    """What a file holds under other names than ours, and what to write where two tensors look like the two."""
    held = shapes_held(folder / file)
    said = f"{folder} has no {MANIFEST}, and {file} holds {shown(held)}, not 'images' and 'labels': write one that "
    such = offered(folder, {"file": file}, *pair) if (pair := likely_pair(held)) else ""
    return UsageError(f"{said}names them{such} (docs/concepts.md)")


def _check_labels(folder: Path, where: Mapping[str, str], images: str, name: str) -> None:
    path = folder / where.get("labels_file", where["file"])
    (labels,) = named(path, name, fits=lambda shapes: "")
    if labels.ndim == 1 and labels.is_floating_point():
        raise UsageError(f"the labels in {path} are {type_of(labels)}; class indices are whole numbers: save int64")
    if labels.ndim != 1:
        shape = f"{name!r} in {path.name} has shape {tuple(labels.shape)}, not (N)"
        such = offered(folder, where, images, name) if labels.ndim == 2 else ""
        raise UsageError(
            f"{folder} has no {MANIFEST}, and {shape}: write one that says what they are, 'source.soft', "
            f"'source.logits' or 'source.regression'{such} (docs/concepts.md)"
        )
