"""Images and labels as tensors, which a manifest written by hand names, each where it lies."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from bench.condensation import Images
from bench.data.datasets import Dataset, Preprocessing
from bench.errors import UsageError
from bench.interchange import class_order
from bench.interchange.handwritten import HandWritten, TensorSource
from bench.interchange.looking import are_centred
from bench.interchange.parts import Part
from bench.interchange.pixels import check_labels, check_range, declared_normalisation, in_range
from bench.labels import not_distributions, not_targets
from bench.results.chance import are_no_better, largest_share
from bench.sets.tensor_files import ALONE, first_held, named, type_of
from bench.sets.wellformed import uneven
from bench.storage.run_folder import MANIFEST

DARK = 64  # levels: a set none of whose pixels reach a quarter of white is of another scale, or of dark images
IMAGES, STEP_SIZE = "images_", "lr_"  # how names of files begin that one save of DATM's wrote together


def from_tensors(
    folder: Path, hand: HandWritten, source: TensorSource, preprocessing: Preprocessing, dataset: Dataset
) -> Part:
    """Images that lie in a file by name, as what networks see or as levels."""
    path = folder / source.file
    pixels, classes, own = _tensors_of(folder, source, dataset)
    if classes is None:
        assert own is not None
        classes = own.argmax(1)
    check_labels(classes, str(folder))
    if source.range == "whitened" and hand.zca is None:
        raise UsageError(f"{folder / MANIFEST}: range 'whitened' needs 'zca', the whitening")
    theirs = declared_normalisation(hand, dataset)
    check_range(pixels, source, theirs, str(folder), stated=hand.mean is not None)
    labels = classes.long()
    _check_indices(labels, len(dataset.classes), folder)
    shown = in_range(pixels, source, theirs, preprocessing)
    order = class_order.of_numbers(hand.classes, dataset, str(folder))
    images = _labelled(Images(shown, labels), own, source, f"{path}: the labels {source.own_labels!r}")
    files = (path, *([folder / source.labels_file] if source.labels_file else []))
    part = Part(images, order, files, tuple(_contradicting(images, source, own)))
    return _with_step_size(part, _step_size_file(folder, source)) if hand.learned_lr is None else part


def _with_step_size(part: Part, path: Path | None) -> Part:
    """With the step size that lies beside the images, which nobody has to type."""
    if path is None:
        return part
    found = _step_size_in(path)
    said = f"the step size that was learned with its images is that of {path.name}, {found:.4g}"
    return replace(part, files=(*part.files, path), notes=(*part.notes, said), learned_lr=found)


def _labelled(images: Images, own: Tensor | None, source: TensorSource, what: str) -> Images:
    """The images with their own labels (N, K), which are `what` in words. Raises UsageError: they are none."""
    if own is None:
        return images
    if not own.is_floating_point():
        raise UsageError(f"{what} are {type_of(own)}; floats are expected")
    own = own.float()
    if wrong := not_targets(own, *own.shape):
        raise UsageError(f"{what} {wrong}")
    if source.regression:
        return replace(images, targets=own)
    soft = own.softmax(1) if source.logits else own
    if wrong := not_distributions(soft, *own.shape):
        raise UsageError(f"{what} {wrong}")
    return replace(images, soft=soft)


def _contradicting(images: Images, source: TensorSource, own: Tensor | None) -> Iterator[str]:
    """A line each where pixels are dark, or labels (N, K) of other classes than those beside them, or not as called."""
    if images.pixels.dtype == torch.uint8 and (brightest := int(images.pixels.max())) < DARK:
        yield f"its brightest pixel is {brightest} of 255; if all of its values are 0 to {brightest}, scale them"
    if own is None:
        return
    hits = own.argmax(1) == images.classes
    if source.labels is not None and are_no_better(hits, largest_share(images.classes)):
        agreed = f"{source.labels!r} for {100 * hits.float().mean():.0f} % of the images"
        yield f"{source.own_labels!r} is highest for the class in {agreed}; are both in one order?"
    if source.logits and images.soft is not None and are_centred(own):
        left = f"{float(images.soft.amax(1).mean()):.2f}"
        yield (
            f"{source.logits!r} is called logits, of which {left} is left for the class of an image; within -1..1 and "
            "with rows that sum to about 0 they seem to be targets of a regression (FRePo): 'regression' in the source"
        )


def _check_indices(classes: Tensor, count: int, folder: Path) -> None:
    if len(classes) == 0 or int(classes.min()) < 0 or int(classes.max()) >= count:
        raise UsageError(f"the labels of {folder} are not class indices 0 to {count - 1}")


def _tensors_of(folder: Path, source: TensorSource, dataset: Dataset) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Images (N, C, H, W), labels (N), and labels (N, K), where each is.

    Raises:
        UsageError: they are not there, or do not fit.
    """
    path, apart = folder / source.file, folder / (source.labels_file or source.file)
    own = source.own_labels
    beside = apart if own is None or first_held(apart, [(own,)]) else path
    asked = (("labels", source.labels, apart), ("own", own, beside))
    named_so = [(what, name, place) for what, name, place in asked if name is not None]
    found = {what: named(place, name, fits=_anything)[0] for what, name, place in named_so if place != path}
    here = {what: name for what, name, place in named_so if place == path}
    known = {what: tuple(tensor.shape) for what, tensor in found.items()}
    pixels, *others = named(path, source.images, *here.values(), fits=partial(_unfit, source, dataset, known, here))
    found |= dict(zip(here, others, strict=True))
    return _upright(pixels, dataset), found.get("labels"), found.get("own")


def _upright(pixels: Tensor, dataset: Dataset) -> Tensor:
    """As (N, C, H, W), also what is (N, H, W, C), as TensorFlow and JAX have images."""
    return pixels if tuple(pixels.shape[1:]) == _shape_of(dataset) else pixels.permute(0, 3, 1, 2)


def _shape_of(dataset: Dataset) -> tuple[int, int, int]:
    return dataset.channels, dataset.resolution, dataset.resolution


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
        apart: those of labels that lie in another file.
        here: the names of those that lie with the images.
    """
    known = {**apart, **{what: shapes[name] for what, name in here.items()}}
    images, own = shapes[source.images], known.get("own")
    labels = known["labels"] if "labels" in known else (own or ())[:1]
    channels, *sides = expected = _shape_of(dataset)
    if len(images) != 4 or len(labels) != 1:
        return f"images must be one tensor (N, C, H, W) and labels one of N class indices, not {images} and {labels}"
    if images[1:] not in (expected, (*sides, channels)):  # one channel against three would be stretched without a word
        return f"the images have shape {images}, not {(*labels, *expected)}"
    if images[0] != labels[0]:
        return uneven(images[0], labels[0])
    if own is not None and own != (*labels, len(dataset.classes)):
        return f"the labels {source.own_labels!r} have shape {own}, not {(*labels, len(dataset.classes))}"
    return ""


def _step_size_file(folder: Path, source: TensorSource) -> Path | None:
    """Where the step size lies that was learned with a set's images: lr_best.pt beside images_best.pt (DATM)."""
    images = folder / source.file
    if not images.name.startswith(IMAGES):
        return None
    found = images.with_name(STEP_SIZE + images.name.removeprefix(IMAGES))
    return found if found.is_file() else None


def _step_size_in(path: Path) -> float:
    """The step size that is all of a file. Raises UsageError: it holds anything but one number above 0."""
    (found,) = named(path, ALONE, fits=lambda shapes: "" if math.prod(shapes[ALONE]) == 1 else "it holds no one number")
    value = float(found)
    if not 0 < value < math.inf:
        raise UsageError(f"{path} holds {value:g}; a step size above 0 is expected")
    return value
