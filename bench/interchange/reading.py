"""Reading a set that came from elsewhere, against the dataset that it is of."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.condensation import Grid, ImageFiles, Images
from bench.data.cards import DatasetCard, SourceCard
from bench.data.datasets import Dataset, Normalisation, Preprocessing, Reader, Source
from bench.data.decoding import DecodedForm, Decoder, form_of, size_of
from bench.errors import CorruptArtefact, UnreadableArtefact, UsageError, why
from bench.interchange import class_order, stored
from bench.interchange.class_order import ClassOrder
from bench.interchange.handwritten import HandWritten, KeptLabels, TensorSource
from bench.interchange.manifest import about, by_hand, is_missing
from bench.interchange.pixels import check_labels, check_range, declared_normalisation, in_range, whitening
from bench.interchange.tensors import tensors_of
from bench.labels import HardLabels, Labels, SoftLabels, not_distributions
from bench.results.chance import are_no_better, largest_share
from bench.sets import condensed as sets
from bench.sets.condensed import CondensedSet
from bench.storage.files import file_digest
from bench.storage.names import brief
from bench.storage.paging import assembled, in_a_piece
from bench.storage.run_folder import MANIFEST
from bench.storage.users_files import plain_name
from bench.storage.users_toml import validated

Readers = Callable[[str], type[Reader]]
LOOKED_AT = 64  # images whose size is looked at


@dataclass(frozen=True)
class Foreign:
    """A set from elsewhere in the suite's terms.

    Attributes:
        class_order: how its labels were understood (`ClassOrder`).
        notes: what its user should know, a line each: what was left out or scaled, what seems to contradict.
        files: all that was read beside the manifest; they make the set the one that it is (`fingerprint`).
        inferred: of a set without a manifest, what was taken for granted, in a line.
        published: the files of its images, in their order; None where they were published as tensors.
    """

    condensed: CondensedSet
    class_order: str
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    inferred: str = ""
    published: ImageFiles | None = None


@dataclass(frozen=True)
class _Part:
    """Images in the order of their labels, what these mean, what to say of them, and the files that were read.

    `published` as of `Foreign`.
    """

    images: Images
    order: ClassOrder
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    published: ImageFiles | None = None


def read(folder: Path, dataset: Dataset, readers: Readers) -> CondensedSet:
    """The set at a folder: labels in the dataset's class order, floats in the dataset's normalisation or its whitening.

    Labels that were stored batch by batch are looked at, and read by `bench.interchange.stored.stored_labels`.

    Raises:
        UsageError: no set there, or one that does not fit the dataset or what it declares.
        CorruptArtefact: one of ours that was altered.
    """
    return read_foreign(folder, dataset, readers).condensed


def read_foreign(folder: Path, dataset: Dataset, readers: Readers) -> Foreign:
    """The same, with how its labels were understood. Raises as `read`."""
    hand = by_hand(folder)
    if hand is None:
        return read_own(folder)
    class_order.check_stated(hand.classes, dataset, str(folder))
    unsaid = _constants_unsaid(hand, declared_normalisation(hand, dataset), dataset)
    if unsaid and is_missing(folder):
        raise UsageError(
            f"{folder} has no {MANIFEST}, and {unsaid}: write one that states 'mean' and 'std' (docs/concepts.md)"
        )
    preprocessing = whitening(folder, hand.zca, dataset) if hand.zca else dataset.normalisation
    files = [folder / hand.zca.file] if hand.zca else []
    if isinstance(hand.source, TensorSource):
        part = _from_tensors(folder, hand, hand.source, preprocessing, dataset)
    else:
        part = _from_layout(folder, hand, hand.source, dataset, readers)
    ordered = _in_order(part.images, part.order)
    decoder = Grid(hand.decoder.factor) if hand.decoder else None
    labels: Labels = HardLabels()
    if ordered.soft is not None:
        labels = SoftLabels(decoder.repeated(ordered.soft) if decoder else ordered.soft)
    if isinstance(hand.labels, KeptLabels):
        labels = stored.kept_labels(folder, hand, hand.labels, ordered, dataset)
        kept = labels.tensors
        ordered = replace(ordered, soft=kept.get("probabilities"), targets=kept.get("targets"))
        files += [folder / name for name in (hand.labels.kept, *hand.labels.teachers)]
    elif hand.labels is not None:
        looked = stored.look(folder, hand.labels, len(ordered), dataset)
        class_order.of_numbers(hand.classes, dataset, str(folder / hand.labels.fkd))
        files += chain.from_iterable(looked.files)
    found = CondensedSet(ordered, labels, dataset.classes, preprocessing, hand.learned_lr, decoder)
    said = _inferred(hand, part.order, dataset) if is_missing(folder) else ""
    doubt = f"{unsaid}: taken for the first; state 'mean' and 'std' in the manifest"
    notes = (*part.notes, doubt) if unsaid else part.notes
    return Foreign(found, part.order.how, notes, (*files, *part.files), said, part.published)


def _constants_unsaid(hand: HandWritten, own: Normalisation, dataset: Dataset) -> str:
    """Between which constants nothing decides, in words, or "": read by wrong ones normalised images look well."""
    theirs, source = dataset.elsewhere, hand.source
    if theirs is None or theirs.mean is None or hand.mean is not None:
        return ""
    if not isinstance(source, TensorSource) or source.range != "normalised":
        return ""
    other = Normalisation(theirs.mean, theirs.std or own.std)
    return (
        f"{source.file} is normalised, by the constants of {dataset.name} ({_constants(own)}) or by others, such as "
        f"those of {theirs.who} ({_constants(other)})"
    )


def _constants(normalisation: Normalisation) -> str:
    return f"mean {list(normalisation.mean)}, std {list(normalisation.std)}"


def _inferred(hand: HandWritten, order: ClassOrder, dataset: Dataset) -> str:
    """As "tensors in images_best.pt, normalised by the constants of cifar10, 32×32; ...; hard labels"."""
    constants, side = f"the constants of {dataset.name}", f"{dataset.resolution}×{dataset.resolution}"
    if isinstance(hand.source, TensorSource):
        range_ = f"normalised by {constants}" if hand.source.range == "normalised" else hand.source.range
        pixels = f"tensors {hand.source.images!r} in {hand.source.file}, {range_}"
    else:
        pixels = f"pictures ({hand.source.layout}), which students see by {constants}"
    how = "classes by their ids" if order.how == class_order.IDS else order.how.removeprefix("inferred: ")
    return f"inferred, for it has no {MANIFEST}: {pixels}, {side}; {how}; hard labels, protocol {hand.protocol}"


def read_own(folder: Path) -> Foreign:
    """A set that a run wrote, or that calls itself one.

    Raises:
        UsageError: the system does not let it be read.
        CorruptArtefact: it is not laid out as its manifest says.
    """
    try:
        found = sets.load(folder)
        manifest = about(folder)
        files = tuple(folder / name for name in manifest["files"])
        published = sets.image_files(folder) if manifest.get("pixels") == "jpeg" else None
    except UnreadableArtefact as error:  # what the system says of the user's own files
        raise UsageError(str(error)) from error
    except (LookupError, TypeError, ValueError, RuntimeError) as error:  # of tensors that are not there, or not so
        raise CorruptArtefact(f"{folder} is not laid out as its manifest says: {why(error)}") from error
    return Foreign(found, class_order.STATED, files=files, published=published)


def _in_order(images: Images, order: ClassOrder) -> Images:
    """The images with their classes, and the columns of their soft labels, in the dataset's class order."""
    soft = None if images.soft is None else images.soft[:, order.positions.argsort()]
    return Images(images.pixels, order.positions[images.classes], soft)


def _from_layout(folder: Path, hand: HandWritten, card: SourceCard, dataset: Dataset, readers: Readers) -> _Part:
    """Images that a dataset's reader can read; what the reader calls the training split is the set."""
    _refuse_elsewhere(card.options, folder)
    reader = readers(card.layout)()
    validated(reader.Options, card.options, str(folder / MANIFEST))
    shape = {"resolution": dataset.resolution, "channels": dataset.channels, "normalisation": "half"}  # not looked at
    ids = None if reader.names_classes else dataset.classes
    plain = DatasetCard.model_validate({"name": "condensed", **shape, "class_ids": ids, "sources": (card,)})
    source = reader.locate(plain, card, folder.absolute())
    if source is None or "train" not in source.files:
        raise UsageError(f"no images at {folder}: looked for {reader.looked_for(plain, card)}")
    files = source.files["train"]
    _check_below(folder, files)
    _check_sums(source, files)
    labels = reader.labels(source, "train")
    order = class_order.of_names(source.classes, reader.label_order(source), hand.classes, dataset, str(folder))
    decoder = Decoder(reader, source, "train", DecodedForm.of(plain))
    some, weighed = torch.arange(len(labels)).split(in_a_piece(decoder.view.image_bytes)), list[tuple[int, str]]()

    def weigh(encoded: Any) -> None:  # noqa: ANN401 - see Reader.encoded
        weighed.append((memoryview(encoded).nbytes, form_of(encoded)))

    pixels = assembled(((places, decoder.decode(places.tolist(), weigh)) for places in some), len(labels))
    notes = (*source.notes, *_scaled(reader, source, len(labels), dataset))
    return _Part(Images(pixels, labels), order, files, notes, _files_of(weighed))


def _files_of(weighed: Sequence[tuple[int, str]]) -> ImageFiles:
    """Of images with these bytes and forms, in their order."""
    forms = " + ".join(sorted({form for _, form in weighed}))
    return ImageFiles(torch.tensor([size for size, _ in weighed]), forms)


def _refuse_elsewhere(options: Mapping[str, Any], folder: Path) -> None:
    """Refuses options of a reader that lead out of the set's folder, also through links."""
    for name, value in options.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            try:
                plain_name(each if isinstance(each, str) else "")
            except ValueError as error:
                raise UsageError(f"{folder / MANIFEST}: option {name!r} is {brief(each)}: {error}") from error


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


def _check_sums(source: Source, files: Sequence[Path]) -> None:
    """Refuses files that are not those of which a checksum lies beside them, or is known."""
    for path in files:
        algorithm, _, expected = source.checksums.get(path, "").partition(":")
        if expected and (found := file_digest(path, algorithm)) != expected:
            raise UsageError(f"corrupt file: {path} has {algorithm} {found}, not {expected}")


def _from_tensors(
    folder: Path, hand: HandWritten, source: TensorSource, preprocessing: Preprocessing, dataset: Dataset
) -> _Part:
    path = folder / source.file
    pixels, classes, soft = tensors_of(folder, source, dataset)
    if soft is not None and source.logits:
        soft = soft.float().softmax(1)
    if soft is not None and (wrong := not_distributions(soft, len(pixels), len(dataset.classes))):
        raise UsageError(f"{path}: the soft labels {source.own_labels!r} {wrong}")
    if classes is None:
        assert soft is not None
        classes = soft.argmax(1)
    check_labels(classes, str(folder))
    if source.range == "whitened" and hand.zca is None:
        raise UsageError(f"{folder / MANIFEST}: range 'whitened' needs 'zca', the file with the whitening")
    theirs = declared_normalisation(hand, dataset)
    check_range(pixels, source, theirs, str(folder))
    labels = classes.long()
    _check_indices(labels, len(dataset.classes), folder)
    shown = in_range(pixels, source, theirs, preprocessing)
    order = class_order.of_numbers(hand.classes, dataset, str(folder))
    images = Images(shown, labels, None if soft is None else soft.float())
    files = (path, *([folder / source.labels_file] if source.labels_file else []))
    return _Part(images, order, files, _contradicting(images, source))


def _contradicting(images: Images, source: TensorSource) -> tuple[str, ...]:
    """A line where soft labels are of other classes than the labels beside them: columns may have another order."""
    if images.soft is None or source.labels is None:
        return ()
    hits = images.soft.argmax(1) == images.classes
    if not are_no_better(hits, largest_share(images.classes)):
        return ()
    agreed = f"{100 * hits.float().mean():.0f} % of the images"
    return (
        f"{source.own_labels!r} is highest for the class in {source.labels!r} for {agreed}; are both in one order?",
    )


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
