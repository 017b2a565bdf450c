"""Reading a set that came from elsewhere, against the dataset that it is of."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench import condensed as sets
from bench.cards import DatasetCard, SourceCard, validated
from bench.chance import are_no_better, largest_share
from bench.condensation import Images
from bench.condensed import CondensedSet
from bench.data.decoding import Decoder, View, size_of
from bench.errors import UsageError
from bench.imagery import Dataset, Preprocessing, Reader, Source
from bench.labels import HardLabels, SoftLabels, not_distributions
from bench.sets import class_order, stored
from bench.sets.class_order import ClassOrder
from bench.sets.manifest import HandWritten, TensorSource, by_hand
from bench.sets.pixels import check_labels, check_range, declared_normalisation, in_range, whitening
from bench.sets.tensor_files import named

Readers = Callable[[str], type[Reader]]
LOOKED_AT = 64  # images whose size is looked at


@dataclass(frozen=True)
class Foreign:
    """A set from elsewhere in the suite's terms.

    Attributes:
        class_order: how its labels were understood (`ClassOrder`).
        notes: what its user should know, a line each: what was left out or scaled, what seems to contradict.
    """

    condensed: CondensedSet
    class_order: str
    notes: tuple[str, ...] = ()


def read(folder: Path, dataset: Dataset, readers: Readers) -> CondensedSet:
    """The set at a folder: labels in the dataset's class order, floats in the dataset's normalisation or its whitening.

    Labels that were stored batch by batch are looked at, and read by `bench.sets.stored.stored_labels`.

    Raises:
        UsageError: no set there, or one that does not fit the dataset or what it declares.
        CorruptArtefact: one of ours that was altered.
    """
    return read_foreign(folder, dataset, readers).condensed


def read_foreign(folder: Path, dataset: Dataset, readers: Readers) -> Foreign:
    """The same, with how its labels were understood. Raises as `read`."""
    hand = by_hand(folder)
    if hand is None:
        return Foreign(sets.load(folder), class_order.STATED)
    class_order.check_stated(hand.classes, dataset, str(folder))
    declared_normalisation(hand, dataset)
    preprocessing = whitening(folder, hand.zca, dataset) if hand.zca else dataset.normalisation
    notes: tuple[str, ...] = ()
    if isinstance(hand.source, TensorSource):
        images, order = _from_tensors(folder, hand, hand.source, preprocessing, dataset)
        notes = _contradicting(images, hand.source)
    else:
        images, order, notes = _from_layout(folder, hand, hand.source, dataset, readers)
    ordered = _in_order(images, order)
    if hand.labels is not None:
        stored.look(folder, hand.labels, len(images), dataset)
        class_order.of_numbers(hand.classes, dataset, str(folder / hand.labels.fkd))
    labels = HardLabels() if ordered.soft is None else SoftLabels(ordered.soft)
    found = CondensedSet(ordered, labels, dataset.classes, preprocessing, hand.learned_lr)
    return Foreign(found, order.how, notes)


def _in_order(images: Images, order: ClassOrder) -> Images:
    """The images with their classes, and the columns of their soft labels, in the dataset's class order."""
    soft = None if images.soft is None else images.soft[:, order.positions.argsort()]
    return Images(images.pixels, order.positions[images.classes], soft)


def _from_layout(
    folder: Path, hand: HandWritten, card: SourceCard, dataset: Dataset, readers: Readers
) -> tuple[Images, ClassOrder, tuple[str, ...]]:
    """Images that a dataset's reader can read; what the reader calls the training split is the set."""
    reader = readers(card.layout)()
    validated(reader.Options, card.options, str(folder / "manifest.json"))
    shape = {"resolution": dataset.resolution, "channels": dataset.channels, "normalisation": "half"}  # not looked at
    ids = None if reader.names_classes else dataset.classes
    plain = DatasetCard.model_validate({"name": "condensed", **shape, "class_ids": ids, "sources": (card,)})
    source = reader.locate(plain, card, folder.absolute())
    if source is None or "train" not in source.files:
        raise UsageError(f"no images at {folder}: looked for {reader.looked_for(plain, card)}")
    _check_below(folder, source.files["train"])
    labels = reader.labels(source, "train")
    order = class_order.of_names(source.classes, reader.label_order(source), hand.classes, dataset, str(folder))
    pixels = Decoder(reader, source, "train", View.of(plain)).decode(range(len(labels)))
    _check_shape(pixels, len(labels), dataset, folder)
    return Images(pixels, labels), order, (*source.notes, *_scaled(reader, source, len(labels), dataset))


def _scaled(reader: Reader, source: Source, count: int, dataset: Dataset) -> Iterator[str]:
    """A line where images are of another size: they are scaled, as a dataset's are."""
    some = range(0, count, max(1, count // LOOKED_AT))
    sizes = {size_of(encoded) for _, encoded in reader.encoded(source, "train", some)}
    side = dataset.resolution
    if strange := sorted(sizes - {(side, side)}):
        width, height = strange[0]
        yield f"images of {width}×{height} pixels are scaled and cut to {side}×{side}, as the dataset's are"


def _check_below(folder: Path, files: Sequence[Path]) -> None:
    """As `_below_the_set` of the manifest: options of readers may lead elsewhere."""
    place = os.path.abspath(folder)  # noqa: PTH100 - links stay as they are, and ".." goes
    if stray := next((each for each in files if not Path(os.path.abspath(each)).is_relative_to(place)), None):  # noqa: PTH100
        raise UsageError(f"{stray} does not lie below the set's folder {folder}, itself or as a link")


def _from_tensors(
    folder: Path, hand: HandWritten, source: TensorSource, preprocessing: Preprocessing, dataset: Dataset
) -> tuple[Images, ClassOrder]:
    path = folder / source.file
    pixels, classes, *soft = named(path, source.images, source.labels, *([source.soft] if source.soft else []))
    if pixels.ndim != 4 or classes.ndim != 1:
        raise UsageError(f"{path}: images must be one tensor (N, C, H, W) and labels one of N class indices")
    _check_shape(pixels, len(classes), dataset, folder)
    check_labels(classes, str(folder))
    if soft and (wrong := not_distributions(soft[0], len(pixels), len(dataset.classes))):
        raise UsageError(f"{path}: the soft labels {source.soft!r} {wrong}")
    if source.range == "whitened" and hand.zca is None:
        raise UsageError(f"{folder / 'manifest.json'}: range 'whitened' needs 'zca', the file with the whitening")
    theirs = declared_normalisation(hand, dataset)
    check_range(pixels, source, theirs, str(folder))
    labels = classes.long()
    _check_indices(labels, len(dataset.classes), folder)
    shown = in_range(pixels, source, theirs, preprocessing)
    order = class_order.of_numbers(hand.classes, dataset, str(folder))
    return Images(shown, labels, soft[0].float() if soft else None), order


def _contradicting(images: Images, source: TensorSource) -> tuple[str, ...]:
    """A line where soft labels are of other classes than the labels beside them: columns may have another order."""
    if images.soft is None:
        return ()
    hits = images.soft.argmax(1) == images.classes
    if not are_no_better(hits, largest_share(images.classes)):
        return ()
    agreed = f"{100 * hits.float().mean():.0f} % of the images"
    return (f"{source.soft!r} is highest for the class in {source.labels!r} for {agreed}; are both in one order?",)


def _check_shape(pixels: Tensor, count: int, dataset: Dataset, folder: Path) -> None:
    """Before any arithmetic: one channel against three would be stretched to three without a word."""
    expected = (count, dataset.channels, dataset.resolution, dataset.resolution)
    if tuple(pixels.shape) != expected:
        raise UsageError(f"the images of {folder} have shape {tuple(pixels.shape)}, not {expected}")


def _check_indices(classes: Tensor, count: int, folder: Path) -> None:
    if len(classes) == 0 or int(classes.min()) < 0 or int(classes.max()) >= count:
        raise UsageError(f"the labels of {folder} are not class indices 0 to {count - 1}")


def images_per_class(classes: Tensor, names: Sequence[str], folder: Path) -> tuple[int, int]:
    """The fewest and the most images that a class has.

    Raises:
        UsageError: a class has none, which no training can make up for.
    """
    counts = torch.bincount(classes, minlength=len(names))
    if int(counts.min()) == 0:
        empty = [name for name, count in zip(names, counts.tolist(), strict=True) if count == 0]
        raise UsageError(
            f"{folder} has no image of {len(empty)} of {len(names)} classes, {', '.join(empty[:3])}; "
            "--classes names those that a set is of"
        )
    return int(counts.min()), int(counts.max())
