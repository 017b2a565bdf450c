"""Reading a set that came from elsewhere, against the dataset that it is of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from bench.condensation import Grid, ImageFiles, Images
from bench.data.datasets import Dataset, Normalisation, Preprocessing
from bench.errors import CorruptArtefact, UnreadableArtefact, UsageError, why
from bench.interchange import class_order, stored
from bench.interchange.class_order import ClassOrder
from bench.interchange.handwritten import HandWritten, KeptLabels, TeacherLabels, TensorSource, ZcaFit, ZcaSource
from bench.interchange.inferring import first_of
from bench.interchange.layouts import Readers, from_layout
from bench.interchange.manifest import about, by_hand, is_missing
from bench.interchange.parts import in_order
from bench.interchange.pixels import declared_normalisation
from bench.interchange.teachers import named_teachers
from bench.interchange.tensors import from_tensors
from bench.interchange.whitenings import check_fit, from_file
from bench.labels import HardLabels, Labels, RegressionLabels, SoftLabels
from bench.sets import condensed as sets
from bench.sets.condensed import CondensedSet
from bench.storage.run_folder import MANIFEST


@dataclass(frozen=True)
class Foreign:
    """A set from elsewhere in the suite's terms.

    Attributes:
        class_order: how its labels were understood (`ClassOrder`).
        notes: what its user should know, a line each: what was left out or scaled, what seems to contradict.
        files: all that was read beside the manifest; they make the set the one that it is (`fingerprint`).
        inferred: of a set without a manifest, what was taken for granted, in a line.
        published: the files of its images, in their order; None where they were published as tensors.
        left_to_a_run: what a run brings: its whitening, which is still to be fitted, so that its images are of none
            yet; its teachers, who are named alone and are taken in.
    """

    condensed: CondensedSet
    class_order: str
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    inferred: str = ""
    published: ImageFiles | None = None
    left_to_a_run: frozenset[Literal["whitening", "teachers"]] = frozenset()


def read(folder: Path, dataset: Dataset, readers: Readers) -> CondensedSet:
    """The set at a folder: labels in the dataset's class order, floats in the dataset's normalisation or its whitening.

    Labels that were stored batch by batch are looked at, and read by `bench.interchange.stored.stored_labels`.

    Raises:
        UsageError: no set there, or one that does not fit the dataset or what it declares.
        CorruptArtefact: one of ours that was altered.
    """
    return read_foreign(folder, dataset, readers).condensed


def read_foreign(folder: Path, dataset: Dataset, readers: Readers, whitening: Preprocessing | None = None) -> Foreign:
    """The same, with how its labels were understood.

    Args:
        whitening: the fitted one of a set whose manifest asks for that. While it is not known the set is read as one of
            the dataset's own preprocessing (`Foreign.left_to_a_run`): its images have their number, type and shape.

    Raises:
        UsageError, CorruptArtefact: as `read`.
    """
    hand = by_hand(folder)
    if hand is None:
        return read_own(folder)
    class_order.check_stated(hand.classes, dataset, str(folder))
    unsaid = _constants_unsaid(hand, declared_normalisation(hand, dataset), dataset)
    if unsaid and is_missing(folder):
        raise UsageError(
            f"{folder} has no {MANIFEST}, and {unsaid}: write one that states 'mean' and 'std' (docs/concepts.md)"
        )
    preprocessing, files = dataset.normalisation, list[Path]()
    if isinstance(hand.zca, ZcaSource):
        preprocessing, files = from_file(folder, hand.zca, dataset), [folder / hand.zca.file]
    elif hand.zca is not None:
        check_fit(dataset, str(folder))
        preprocessing = whitening or preprocessing
    if isinstance(hand.source, TensorSource):
        part = from_tensors(folder, hand, hand.source, preprocessing, dataset)
    else:
        part = from_layout(folder, hand, hand.source, dataset, readers)
    ordered = in_order(part.images, part.order)
    decoder = Grid(hand.decoder.factor) if hand.decoder and hand.decoder.factor > 1 else None
    labels = _own_labels(ordered, decoder)
    if isinstance(hand.labels, KeptLabels):
        labels = stored.kept_labels(folder, hand, hand.labels, ordered, dataset)
        kept = labels.tensors
        ordered = replace(ordered, soft=kept.get("probabilities"), targets=kept.get("targets"))
        files += [folder / name for name in (hand.labels.kept, *hand.labels.teachers)]
    elif isinstance(hand.labels, TeacherLabels):
        labels = named_teachers(folder, hand.labels, dataset)
        class_order.of_numbers(hand.classes, dataset, f"the teachers of {folder}")
        files += [teacher.file for teacher in labels.teachers if teacher.file]
    elif hand.labels is not None:
        looked = stored.look(folder, hand.labels, len(ordered), dataset)
        class_order.of_numbers(hand.classes, dataset, str(folder / hand.labels.fkd))
        files += chain.from_iterable(looked.files)
    learned_lr = hand.learned_lr or part.learned_lr
    found = CondensedSet(ordered, labels, dataset.classes, preprocessing, learned_lr, decoder)
    said = _inferred(folder, hand, part.order, dataset) if is_missing(folder) else ""
    doubt = f"{unsaid}: taken for the first; state 'mean' and 'std' in the manifest"
    notes = (*part.notes, doubt) if unsaid else part.notes
    left = _left_to_a_run(hand, whitening)
    return Foreign(found, part.order.how, notes, (*files, *part.files), said, part.published, left)


def _left_to_a_run(hand: HandWritten, whitening: Preprocessing | None) -> frozenset[Literal["whitening", "teachers"]]:
    left: set[Literal["whitening", "teachers"]] = set()
    if isinstance(hand.zca, ZcaFit) and whitening is None:
        left.add("whitening")
    if isinstance(hand.labels, TeacherLabels):
        left.add("teachers")
    return frozenset(left)


def _own_labels(images: Images, decoder: Grid | None) -> Labels:
    """Those that came with the images, of what these decode into."""
    soft, targets = (
        each if each is None or decoder is None else decoder.repeated(each) for each in (images.soft, images.targets)
    )
    if targets is not None:
        return RegressionLabels(targets)
    return HardLabels() if soft is None else SoftLabels(soft)


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


def _inferred(folder: Path, hand: HandWritten, order: ClassOrder, dataset: Dataset) -> str:
    """As "tensors in images_best.pt, normalised by the constants of cifar10, 32×32; ...; hard labels"."""
    constants, side = f"the constants of {dataset.name}", f"{dataset.resolution}×{dataset.resolution}"
    if isinstance(hand.source, TensorSource):
        range_ = f"normalised by {constants}" if hand.source.range == "normalised" else hand.source.range
        pixels = f"tensors {hand.source.images!r} in {hand.source.file}{first_of(folder, hand.source)}, {range_}"
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
