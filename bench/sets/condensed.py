"""The condensed set: images, labels and a manifest, on disk whole and verified."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.condensation import Grid, ImageFiles, Images
from bench.data.datasets import Dataset, Normalisation, Preprocessing
from bench.errors import CorruptArtefact, RunFailure, understood
from bench.labels import KINDS, Labels, labels_from, teacher_facts
from bench.sets import decoding
from bench.sets.own_manifest import IMAGES as IMAGES
from bench.sets.own_manifest import LABELS as LABELS
from bench.sets.own_manifest import Manifest
from bench.sets.pixel_formats import StoredPixels, unpacked
from bench.sets.wellformed import malformed
from bench.storage import run_folder
from bench.storage.artefacts import Kind
from bench.storage.files import file_digest, link_or_copy, reading
from bench.storage.paging import converted, parts
from bench.storage.tensor_files import read_tensors, write_tensors
from bench.whitening import Whitening

MANIFEST_FILE = Kind("the manifest of a set", 1, Manifest)
TEACHER = "teacher.safetensors"  # of the first teacher; of others see `teacher_file`
IN_FILES = (Whitening,)  # kinds of preprocessing that a set keeps in a file, which its manifest names under their kind
ROUNDING = 1e-5  # of the arithmetic, in normalised units: so far outside the valid range is inside


@dataclass(frozen=True)
class CondensedSet:
    """What a method makes.

    Attributes:
        images: pixels as stored (uint8, or float32 as `preprocessing` gives them) and classes.
        labels: of any kind (`bench.labels.KINDS`); of what the images decode into, one by one.
        classes: class ids in order.
        preprocessing: what the pixels belong to; test images go through the same.
        learned_lr: a step size that the method learned with its images, or None.
        decoder: what each image decodes into, or None where it is one.
    """

    images: Images
    labels: Labels
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    learned_lr: float | None = None
    decoder: Grid | None = None

    def decoded(self) -> "CondensedSet":
        """The set as a trainer sees it: all images that its own decode into, and no decoder."""
        images = decoding.decoded(self.images, self.decoder, self.preprocessing)
        return replace(self, images=images, decoder=None)

    def normalised(self) -> Tensor:
        """float32 (N, C, H, W) as networks see them: of whoever asks, to be changed as he likes."""
        seen = converted(self.images.pixels, self.as_seen)
        return seen.clone() if seen.data_ptr() == self.images.pixels.data_ptr() else seen

    def as_seen(self, pixels: Tensor) -> Tensor:
        """The same of some of its pixels."""
        return decoding.as_seen(pixels, self.preprocessing)

    @property
    def writes(self) -> tuple[int, ...]:
        """How often each of its tensors was written into, as torch counts: another count, another content."""
        images = self.images
        held = (images.pixels, images.classes, images.soft, images.targets, *self.labels.tensors.values())
        return tuple(each._version for each in held if each is not None)


def first_of_each(classes: Tensor, count: int) -> Tensor:
    """Positions, ascending, of the first `count` images of each class; `classes` is int64 (N,)."""
    order = classes.argsort(stable=True)
    sizes = torch.bincount(classes)
    rank = torch.arange(len(classes)) - (sizes.cumsum(0) - sizes)[classes[order]]
    return order[rank < count].sort().values


def same_pixels(one: Tensor, other: Tensor) -> bool:
    """Whether both have the same values; either may be larger than the memory."""
    pairs = zip(parts(one, unchanged=True), parts(other, unchanged=True), strict=True)
    return one.shape == other.shape and all(torch.equal(*pair) for pair in pairs)


def teacher_file(index: int) -> str:
    """Where a set keeps the weights of the teacher of this position among those that its labels need."""
    return TEACHER if index == 0 else f"teacher-{index + 1}.safetensors"


def save(
    folder: Path,
    condensed: CondensedSet,
    stored: StoredPixels,
    about: Mapping[str, Any],
    teachers: Sequence[Path] = (),
) -> None:
    """Writes the set's tensors and, last, manifest.json, since it makes the set exist.

    The tensors are images.safetensors, labels.safetensors and, for whitened sets, zca.safetensors.

    Args:
        stored: the pixels of the set's images, as they lie in the file.
        about: what else the manifest says (method, dataset, protocol).
        teachers: the files with the weights of the teachers that online labels need, in their order; they are linked or
            copied to teacher.safetensors, teacher-2.safetensors, ..., so that the set can be used where its maker's
            cache is not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {IMAGES: dict(stored.tensors), LABELS: label_tensors(condensed)}
    if condensed.preprocessing.file:
        tensors[condensed.preprocessing.file] = condensed.preprocessing.tensors
    for name, content in tensors.items():
        write_tensors(folder / name, content)
    weights = {teacher_file(index): path for index, path in enumerate(teachers)}
    for name, path in weights.items():
        link_or_copy(path, folder / name)
    pixels = condensed.images.pixels
    manifest = {
        **about,
        "images": len(condensed.images),
        "resolution": pixels.shape[-1],
        "channels": pixels.shape[1],
        "pixels": stored.form,
        **_value_facts(pixels, condensed.preprocessing),
        "decoder": condensed.decoder.facts if condensed.decoder else None,
        "classes": list(condensed.classes),
        "labels": condensed.labels.facts,
        "learned_lr": condensed.learned_lr,
        "files": {name: f"sha256:{file_digest(folder / name)}" for name in (*tensors, *weights)},
    }
    MANIFEST_FILE.write(folder / run_folder.MANIFEST, manifest)


def label_tensors(condensed: CondensedSet) -> dict[str, Tensor]:
    """What the file of a set's labels holds."""
    return {"classes": condensed.images.classes, **condensed.labels.tensors}


def _value_facts(pixels: Tensor, preprocessing: Preprocessing) -> dict[str, Any]:
    """What the numbers of the images mean.

    `outside_box` says whether some leave the range of valid pixels (those of 8 bits never do); of those that have no
    such range, as whitened ones, it is null.
    """
    if pixels.dtype == torch.uint8:
        return {"value_range": "0..255", "outside_box": False, **preprocessing.facts}
    outside = _leaves(pixels, preprocessing) if preprocessing.bounded else None
    return {"value_range": preprocessing.value_range, "outside_box": outside, **preprocessing.facts}


def _leaves(pixels: Tensor, preprocessing: Preprocessing) -> bool:
    lower, upper = preprocessing.box(pixels)
    low, high = lower - ROUNDING, upper + ROUNDING
    return any(bool(((part < low) | (part > high)).any()) for part in parts(pixels, unchanged=True))


def verified(folder: Path) -> Manifest:
    """The manifest of a set that is whole: every file is what was written.

    Raises:
        CorruptArtefact: a file is altered, truncated or of another schema.
        FileNotFoundError: there is no set in the folder.
    """
    manifest = MANIFEST_FILE.read(folder / run_folder.MANIFEST)
    for name, checksum in manifest.files.items():
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


def _loaded(folder: Path, manifest: Manifest) -> CondensedSet:
    pixels = unpacked(read_tensors(folder / IMAGES)[0])
    tensors, _ = read_tensors(folder / LABELS)
    about = manifest.labels.to_json()
    weights = [folder / name if name in manifest.files else None for name in _teacher_files(about)]
    decoder = Grid(manifest.decoder.factor) if manifest.decoder else None
    beside = {} if decoder else tensors  # else the labels are of what the images decode into
    return CondensedSet(
        images=Images(pixels, tensors["classes"], beside.get("probabilities"), targets=beside.get("targets")),
        labels=labels_from(about, tensors, weights),
        classes=tuple(manifest.classes),
        preprocessing=_preprocessing(folder, manifest),
        learned_lr=manifest.learned_lr,
        decoder=decoder,
    )


def _teacher_files(labels: Mapping[str, Any]) -> list[str]:
    """Where the teachers of a set's labels lie beside it, if they do."""
    return [teacher_file(index) for index, _ in enumerate(teacher_facts(labels))]


def _preprocessing(folder: Path, manifest: Manifest) -> Preprocessing:
    about = manifest.to_json()
    for kind in IN_FILES:
        if kept := about[kind.kind]:
            return kind.from_facts(about, read_tensors(folder / kept["file"])[0])
    return Normalisation.from_facts(about, {})


def image_files(folder: Path) -> ImageFiles | None:
    """Of a set whose images are kept as JPEG, those files, with all else of the one that they lie in; None of others.

    Raises as `load`.
    """
    path = folder / IMAGES
    tensors, _ = read_tensors(path)
    if (lengths := tensors.get("lengths")) is None:
        return None
    return ImageFiles(lengths, "jpeg", path.stat().st_size - int(lengths.sum()))


def sizes(folder: Path, published: ImageFiles | None = None) -> tuple[int, int]:
    """Bytes of the images with their ZCA matrix, if any, and of the labels with their teachers' weights, if needed.

    Both are what a user must keep to train on the set.

    Args:
        published: the files that its images came in, where others than its own are to be counted.
    """
    manifest = MANIFEST_FILE.read(folder / run_folder.MANIFEST)
    kept = {name: (folder / name).stat().st_size for name in manifest.files}
    images = published.bytes if published else kept[IMAGES]
    images += sum(kept.get(kind.file, 0) for kind in IN_FILES)
    return images, kept[LABELS] + _teacher_bytes(manifest.labels.to_json(), kept)


def _teacher_bytes(labels: Mapping[str, Any], kept: Mapping[str, int]) -> int:
    """Of the teachers that labels need: what lies beside the set, or else what their weights have."""
    if not KINDS[labels["kind"]].needs_teachers:
        return 0
    named = zip(_teacher_files(labels), teacher_facts(labels), strict=True)
    return sum(kept.get(file, int(teacher["bytes"])) for file, teacher in named)


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
    shape = (dataset.channels, dataset.resolution, dataset.resolution)
    images, classes = condensed.images, len(dataset.classes)
    if condensed.decoder and (wrong := condensed.decoder.unfit(dataset.resolution)):
        raise RunFailure(f"the set's decoder does not fit {dataset.name}: {wrong}")
    count = len(images) * (condensed.decoder.count if condensed.decoder else 1)
    if wrong := malformed(images, shape, classes, unchanged=True) or condensed.labels.unfit(count, classes):
        raise RunFailure(f"the set does not fit {dataset.name}: {wrong}")
    if strange := condensed.preprocessing.unfit(dataset):
        raise RunFailure(strange)
