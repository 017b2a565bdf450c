"""The condensed set: images, labels and a manifest, on disk whole and verified."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.condensation import Images, PixelFormat
from bench.errors import CorruptArtefact, RunFailure
from bench.files import file_digest, read_json, read_tensors, write_json, write_tensors
from bench.imagery import Dataset, Normalisation
from bench.labels import HardLabels, Labels, OnlineLabels, StoredLabels, TeacherRef

SCHEMA = 1
JPEG_QUALITY = 75  # PIL's default, with chroma subsampling: what the decoupled releases save (METHODS trap 7)


@dataclass(frozen=True)
class CondensedSet:
    """What a method makes, as a trainer sees it.

    Attributes:
        images: pixels as stored (uint8, or float32 in normalised space) and classes.
        labels: hard, online or stored.
        classes: class ids in order.
        normalisation: the constants the pixels belong to.
        learned_lr: a step size that the method learned with its images, or None.
    """

    images: Images
    labels: Labels
    classes: tuple[str, ...]
    normalisation: Normalisation
    learned_lr: float | None = None

    def normalised(self) -> Tensor:
        """float32 (N, C, H, W) in normalised space."""
        pixels = self.images.pixels
        return self.normalisation.apply(pixels) if pixels.dtype == torch.uint8 else pixels.float()


def to_stored(images: Images, form: PixelFormat, normalisation: Normalisation) -> Images:
    """Images as they are after storage, so that labels are made from what a user will read (METHODS trap 7).

    "uint8" rounds to the nearest level and refuses values outside the valid box; "jpeg" truncates to
    uint8 and goes through JPEG as the releases do; "float32" keeps the values.

    Raises:
        RunFailure: values that are not finite, or outside the box where the format cannot hold them.
    """
    pixels = images.pixels
    if pixels.is_floating_point():
        if not bool(torch.isfinite(pixels).all()):
            raise RunFailure("the synthesised images hold NaN or infinity")
        pixels = pixels.float() if form == "float32" else _quantised(normalisation.invert(pixels), form)
    if form == "jpeg":
        pixels = torch.stack([_decode_jpeg(_encode_jpeg(image)) for image in pixels])
    return Images(pixels, images.classes)


def _quantised(pixels: Tensor, form: PixelFormat) -> Tensor:
    if float(pixels.min()) < -0.5 / 255 or float(pixels.max()) > 1 + 0.5 / 255:
        raise RunFailure("pixels leave the valid range, so 8-bit storage would change them; store as float32")
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


def save(folder: Path, condensed: CondensedSet, form: PixelFormat, about: Mapping[str, Any]) -> None:
    """Writes manifest.json, images.safetensors and labels.safetensors; the manifest last, since it makes the set exist.

    `about` adds what else the manifest says (method, dataset, protocol).
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "images.safetensors", _packed(condensed.images.pixels, form))
    write_tensors(folder / "labels.safetensors", _label_tensors(condensed))
    pixels = condensed.images.pixels
    manifest = {
        "schema": SCHEMA,
        **about,
        "images": len(condensed.images),
        "resolution": pixels.shape[-1],
        "channels": pixels.shape[1],
        "pixels": form,
        "value_range": "0..255" if pixels.dtype == torch.uint8 else "normalised",
        "mean": list(condensed.normalisation.mean),
        "std": list(condensed.normalisation.std),
        "zca": None,
        "decoder": None,
        "classes": list(condensed.classes),
        "labels": _label_facts(condensed.labels),
        "learned_lr": condensed.learned_lr,
        "files": {
            name: f"sha256:{file_digest(folder / name)}" for name in ("images.safetensors", "labels.safetensors")
        },
    }
    write_json(folder / "manifest.json", manifest)


def load(folder: Path) -> CondensedSet:
    """Reads a set that `save` wrote, verifying every file.

    Raises:
        CorruptArtefact: a file is altered, truncated or of another schema.
        FileNotFoundError: there is no set in the folder.
    """
    manifest = read_json(folder / "manifest.json")
    if manifest.get("schema") != SCHEMA:
        raise CorruptArtefact(f"{folder / 'manifest.json'} has schema {manifest.get('schema')}, not {SCHEMA}")
    for name, checksum in manifest["files"].items():
        if not (folder / name).is_file() or f"sha256:{file_digest(folder / name)}" != checksum:
            raise CorruptArtefact(f"{folder / name} is missing or altered")
    pixels = _unpacked(read_tensors(folder / "images.safetensors")[0])
    tensors, _ = read_tensors(folder / "labels.safetensors")
    return CondensedSet(
        images=Images(pixels, tensors["classes"]),
        labels=_labels(manifest["labels"], tensors),
        classes=tuple(manifest["classes"]),
        normalisation=Normalisation(tuple(manifest["mean"]), tuple(manifest["std"])),
        learned_lr=manifest["learned_lr"],
    )


def sizes(folder: Path) -> tuple[int, int]:
    """Bytes of the images, and of what else a user must keep to train on the set (labels, a teacher's weights)."""
    manifest = read_json(folder / "manifest.json")
    images = (folder / "images.safetensors").stat().st_size
    labels = (folder / "labels.safetensors").stat().st_size
    if manifest["labels"]["kind"] == "online":
        labels += int(manifest["labels"]["teacher"]["bytes"])
    return images, labels


def check_fits(condensed: CondensedSet, dataset: Dataset) -> None:
    """Refuses a set whose class order or normalisation is not the dataset's: it would evaluate at chance.

    Raises:
        RunFailure: with what differs.
    """
    if condensed.classes != dataset.classes:
        raise RunFailure("the set's class order is not the dataset's; its labels would mean other classes")
    if condensed.normalisation != dataset.normalisation:
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
    stored = {"logits": condensed.labels.logits} if isinstance(condensed.labels, StoredLabels) else {}
    return {"classes": condensed.images.classes, **stored}


def _label_facts(labels: Labels) -> dict[str, Any]:
    match labels:
        case HardLabels():
            return {"kind": "hard"}
        case OnlineLabels():
            return {"kind": "online", "teacher": asdict(labels.teacher), "temperature": labels.temperature}
        case StoredLabels():
            return {
                "kind": "stored",
                "teacher": asdict(labels.teacher),
                "temperature": labels.temperature,
                "view_seed": labels.view_seed,
                "recipe": labels.recipe,
            }


def _labels(facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Labels:
    if facts["kind"] == "hard":
        return HardLabels()
    teacher = TeacherRef(**facts["teacher"])
    if facts["kind"] == "online":
        return OnlineLabels(teacher, facts["temperature"])
    return StoredLabels(teacher, facts["temperature"], facts["view_seed"], facts["recipe"], tensors["logits"])
