"""The condensed set: images, labels and a manifest, on disk whole and verified."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.condensation import Images, PixelFormat
from bench.data.datasets import Dataset, Normalisation, Preprocessing
from bench.errors import CorruptArtefact, RunFailure, understood
from bench.labels import HardLabels, Labels, OnlineLabels, SoftLabels, StoredLabels, TeacherRef
from bench.sets.wellformed import malformed, unfit_labels
from bench.storage.artefacts import Kind
from bench.storage.files import file_digest, link_or_copy, read_json, reading
from bench.storage.shapes import Manifest
from bench.storage.tensor_files import read_tensors, write_tensors
from bench.whitening import Whitening

MANIFEST_FILE = Kind("the manifest of a set", 1, Manifest)
IMAGES, LABELS, ZCA = "images.safetensors", "labels.safetensors", "zca.safetensors"
TEACHER = "teacher.safetensors"
VIEWS = "views."  # how the names of recorded views begin among the labels' tensors
ROUNDING = 1e-5  # of the arithmetic, in normalised units: so far outside the valid range is inside
OUTSIDE_BOX = "pixels leave the valid range, so 8 bits would change them; set pixel_format = 'float32'"
JPEG_QUALITY = 75  # PIL's default, with chroma subsampling: what the decoupled releases save


@dataclass(frozen=True)
class CondensedSet:
    """What a method makes, as a trainer sees it.

    Attributes:
        images: pixels as stored (uint8, or float32 as `preprocessing` gives them) and classes.
        labels: hard, soft, online or stored.
        classes: class ids in order.
        preprocessing: what the pixels belong to; test images go through the same.
        learned_lr: a step size that the method learned with its images, or None.
    """

    images: Images
    labels: Labels
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    learned_lr: float | None = None

    def normalised(self) -> Tensor:
        """float32 (N, C, H, W) as networks see them."""
        pixels = self.images.pixels
        return self.preprocessing.apply(pixels) if pixels.dtype == torch.uint8 else pixels.float()


def first_of_each(classes: Tensor, count: int) -> Tensor:
    """Positions, ascending, of the first `count` images of each class; `classes` is int64 (N,)."""
    order = classes.argsort(stable=True)
    sizes = torch.bincount(classes)
    rank = torch.arange(len(classes)) - (sizes.cumsum(0) - sizes)[classes[order]]
    return order[rank < count].sort().values


def to_stored(images: Images, form: PixelFormat, preprocessing: Preprocessing) -> Images:
    """Images as they are after storage, so that labels are made from what a user will read.

    "uint8" rounds to the nearest level and refuses values outside the valid box; "jpeg" truncates to
    uint8 and goes through JPEG as the releases do; "float32" keeps the values.

    Raises:
        RunFailure: values that are not finite, or outside the box where the format cannot hold them.
    """
    pixels = images.pixels
    if pixels.is_floating_point():
        if not bool(torch.isfinite(pixels).all()):
            raise RunFailure("the synthesised images hold NaN or infinity")
        pixels = pixels.float() if form == "float32" else _quantised(preprocessing.invert(pixels), form)
    if form == "jpeg":
        pixels = torch.stack([_decode_jpeg(_encode_jpeg(image)) for image in pixels])
    return replace(images, pixels=pixels)


def in_box(pixels: Tensor) -> bool:
    """Whether pixels, valid ones of which lie in [0, 1], round to levels that 8 bits have."""
    return -0.5 / 255 <= float(pixels.min()) <= float(pixels.max()) <= 1 + 0.5 / 255


def _quantised(pixels: Tensor, form: PixelFormat) -> Tensor:
    if not in_box(pixels):
        raise RunFailure(OUTSIDE_BOX)
    levels = pixels.clamp(0, 1) * 255
    return (levels.floor() if form == "jpeg" else levels.round()).to(torch.uint8)


def _encode_jpeg(image: Tensor) -> bytes:
    array = image.permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(array if array.shape[2] > 1 else array[..., 0]).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _decode_jpeg(content: bytes) -> Tensor:
    array = np.array(Image.open(io.BytesIO(content)))
    return torch.from_numpy(array if array.ndim == 3 else array[..., None]).permute(2, 0, 1).contiguous()


def save(
    folder: Path, condensed: CondensedSet, form: PixelFormat, about: Mapping[str, Any], teacher: Path | None = None
) -> None:
    """Writes the set's tensors and, last, manifest.json, since it makes the set exist.

    The tensors are images.safetensors, labels.safetensors and, for whitened sets, zca.safetensors.

    Args:
        about: what else the manifest says (method, dataset, protocol).
        teacher: the file with the weights of the teacher that online labels need; it is linked or copied to
            teacher.safetensors, so that the set can be used where its maker's cache is not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {IMAGES: _packed(condensed.images.pixels, form), LABELS: _label_tensors(condensed)}
    if isinstance(condensed.preprocessing, Whitening):
        tensors[ZCA] = {"mean": condensed.preprocessing.mean, "matrix": condensed.preprocessing.matrix}
    for name, content in tensors.items():
        write_tensors(folder / name, content)
    if teacher is not None:
        link_or_copy(teacher, folder / TEACHER)
    files = [*tensors, *([TEACHER] if teacher else [])]
    pixels = condensed.images.pixels
    manifest = {
        **about,
        "images": len(condensed.images),
        "resolution": pixels.shape[-1],
        "channels": pixels.shape[1],
        "pixels": form,
        **_value_facts(condensed),
        "decoder": None,
        "classes": list(condensed.classes),
        "labels": _label_facts(condensed.labels),
        "learned_lr": condensed.learned_lr,
        "files": {name: f"sha256:{file_digest(folder / name)}" for name in files},
    }
    MANIFEST_FILE.write(folder / "manifest.json", manifest)


def _value_facts(condensed: CondensedSet) -> dict[str, Any]:
    """What the numbers of the images mean.

    `outside_box` says whether some leave the range of valid pixels (those of 8 bits never do); of whitened ones, which
    have no such range, it is null.
    """
    pixels, preprocessing = condensed.images.pixels, condensed.preprocessing
    bytes_ = pixels.dtype == torch.uint8
    if isinstance(preprocessing, Whitening):
        facts = {"mean": None, "std": None, "zca": {"file": ZCA, "digest": preprocessing.digest}}
        return {"value_range": "0..255" if bytes_ else "whitened", "outside_box": False if bytes_ else None, **facts}
    assert isinstance(preprocessing, Normalisation)
    return {
        "value_range": "0..255" if bytes_ else "normalised",
        "outside_box": not bytes_ and _leaves(pixels, preprocessing),
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
        "zca": None,
    }


def _leaves(pixels: Tensor, normalisation: Normalisation) -> bool:
    lower, upper = normalisation.box(pixels)
    return bool(((pixels < lower - ROUNDING) | (pixels > upper + ROUNDING)).any())


def verified(folder: Path) -> dict[str, Any]:
    """The manifest of a set that is whole: every file is what was written.

    Raises:
        CorruptArtefact: a file is altered, truncated or of another schema.
        FileNotFoundError: there is no set in the folder.
    """
    manifest = MANIFEST_FILE.read(folder / "manifest.json")
    for name, checksum in manifest["files"].items():
        _check_file(folder / name, checksum)
    return manifest


def _check_file(path: Path, checksum: str) -> None:
    try:
        with reading(path):
            whole = f"sha256:{file_digest(path)}" == checksum
    except FileNotFoundError:
        whole = False
    if not whole:
        raise CorruptArtefact(f"{path} is missing or altered")


def load(folder: Path) -> CondensedSet:
    """Reads a set that `save` wrote, verifying every file.

    Raises:
        CorruptArtefact: a file is altered, truncated, or of another schema or shape.
        FileNotFoundError: there is no set in the folder.
        UnreadableArtefact: the system does not let a file be read.
    """
    manifest = verified(folder)
    with understood(folder):
        return _loaded(folder, manifest)


def _loaded(folder: Path, manifest: Mapping[str, Any]) -> CondensedSet:
    pixels = _unpacked(read_tensors(folder / IMAGES)[0])
    tensors, _ = read_tensors(folder / LABELS)
    return CondensedSet(
        images=Images(pixels, tensors["classes"], tensors.get("probabilities")),
        labels=_labels(manifest["labels"], tensors, folder / TEACHER if TEACHER in manifest["files"] else None),
        classes=tuple(manifest["classes"]),
        preprocessing=_preprocessing(folder, manifest),
        learned_lr=manifest["learned_lr"],
    )


def _preprocessing(folder: Path, manifest: Mapping[str, Any]) -> Preprocessing:
    if manifest["zca"] is None:
        return Normalisation(tuple(manifest["mean"]), tuple(manifest["std"]))
    tensors, _ = read_tensors(folder / manifest["zca"]["file"])
    return Whitening(tensors["mean"], tensors["matrix"])


def sizes(folder: Path) -> tuple[int, int]:
    """Bytes of the images with their ZCA matrix, if any, and of the labels with the teacher's weights, if needed.

    Both are what a user must keep to train on the set.
    """
    manifest = read_json(folder / "manifest.json")
    images = sum((folder / name).stat().st_size for name in (IMAGES, ZCA) if name in manifest["files"])
    labels = (folder / LABELS).stat().st_size
    if TEACHER in manifest["files"]:
        labels += (folder / TEACHER).stat().st_size
    elif manifest["labels"]["kind"] == "online":
        labels += int(manifest["labels"]["teacher"]["bytes"])
    return images, labels


def _other_classes(condensed: CondensedSet, dataset: Dataset) -> str:
    if set(condensed.classes) < set(dataset.classes):  # it only has to be asked for as what it is
        return f"the set is of some classes of {dataset.name} alone; add --classes {','.join(condensed.classes)}"
    return "the set's class order is not the dataset's; its labels would mean other classes"


def check_fits(condensed: CondensedSet, dataset: Dataset) -> None:
    """Refuses a set whose class order, shape or normalisation is not the dataset's: it would evaluate at chance.

    A whitened set brings what it needs; its whitening must be for images of the dataset's shape.

    Raises:
        RunFailure: with what differs.
    """
    if condensed.classes != dataset.classes:
        raise RunFailure(_other_classes(condensed, dataset))
    preprocessing = condensed.preprocessing
    shape = (dataset.channels, dataset.resolution, dataset.resolution)
    images, classes = condensed.images, len(dataset.classes)
    if wrong := malformed(images, shape, classes) or unfit_labels(condensed.labels, len(images), classes):
        raise RunFailure(f"the set does not fit {dataset.name}: {wrong}")
    if isinstance(preprocessing, Whitening):
        if preprocessing.mean.shape != shape:
            raise RunFailure(f"the set's ZCA matrix is for images of {tuple(preprocessing.mean.shape)}, not {shape}")
    elif preprocessing != dataset.own_normalisation:
        raise RunFailure("the set's normalisation constants are not the dataset's")


def _packed(pixels: Tensor, form: PixelFormat) -> dict[str, Tensor]:
    if form != "jpeg":
        return {"images": pixels}
    files = [_encode_jpeg(image) for image in pixels]
    lengths = torch.tensor([len(content) for content in files])
    return {"jpeg": torch.frombuffer(bytearray(b"".join(files)), dtype=torch.uint8), "lengths": lengths}


def _unpacked(tensors: Mapping[str, Tensor]) -> Tensor:
    if "images" in tensors:
        return tensors["images"]
    content, ends = tensors["jpeg"].numpy().tobytes(), tensors["lengths"].cumsum(0).tolist()
    return torch.stack([_decode_jpeg(content[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)])


def _label_tensors(condensed: CondensedSet) -> dict[str, Tensor]:
    match condensed.labels:
        case SoftLabels(probabilities):
            extra = {"probabilities": probabilities}
        case StoredLabels(logits=logits, views=views):
            extra = {"logits": logits, **{f"{VIEWS}{name}": tensor for name, tensor in (views or {}).items()}}
        case _:
            extra = {}
    return {"classes": condensed.images.classes, **extra}


def _label_facts(labels: Labels) -> dict[str, Any]:
    match labels:
        case HardLabels() | SoftLabels():
            return {"kind": labels.kind}
        case OnlineLabels():
            mode = {"teacher_mode": labels.mode} if labels.mode != "eval" else {}
            return {"kind": "online", "teacher": labels.teacher.to_json(), "temperature": labels.temperature, **mode}
        case StoredLabels():
            return {
                "kind": "stored",
                "teacher": labels.teacher.to_json(),
                "temperature": labels.temperature,
                "view_seed": labels.view_seed,
                "recipe": labels.recipe,
            }


def _labels(facts: Mapping[str, Any], tensors: Mapping[str, Tensor], weights: Path | None) -> Labels:
    if facts["kind"] == "hard":
        return HardLabels()
    if facts["kind"] == "soft":
        return SoftLabels(tensors["probabilities"])
    teacher = TeacherRef(**facts["teacher"], file=weights)
    if facts["kind"] == "online":
        return OnlineLabels(teacher, facts["temperature"], facts.get("teacher_mode", "eval"))
    views = {name.removeprefix(VIEWS): tensor for name, tensor in tensors.items() if name.startswith(VIEWS)}
    made = (facts["temperature"], facts["view_seed"], facts["recipe"])
    return StoredLabels(teacher, *made, tensors["logits"], views or None)
