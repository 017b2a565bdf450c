"""From a dataset's name, or a user's own card, to a dataset ready for use."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench.data.cards import DatasetCard, SplitCard, SplitName, is_path
from bench.data.class_selection import select_classes as select_classes
from bench.data.datasets import Dataset, Normalisation, Selection, Source, Split
from bench.data.decoding import VERSION, DecodedForm, Decoder
from bench.data.finding import DatasetNotFound, FoundSource, find_source, load_card
from bench.data.fingerprints import Fingerprints
from bench.data.held_out import cut
from bench.data.identity import known_as
from bench.data.image_cache import ImageCache
from bench.data.labels import labels_of
from bench.data.places import SPLITS
from bench.data.splits import CachedSplit, StreamedSplit, UnavailableSplit
from bench.errors import RunFailure, UsageError
from bench.extensions.answers import answers_of
from bench.extensions.registry import Registry
from bench.progress import Progress
from bench.storage.files import digest
from bench.storage.settings import number_set

# Bytes of decoded pixels in a split above which they are not kept unless the user says so, and never held in memory;
# 110,000 × 3 × 64 × 64: 1.35e9
STREAM_ABOVE = 4 << 30


def open_dataset(
    registry: Registry,
    name_or_path: str,
    root: Path,
    cache: Path,
    progress: Progress,
    *,
    told: bool = False,
    fingerprints: Fingerprints | None = None,
) -> Dataset:
    """The dataset with its labels read and no image decoded; images are decoded into the cache when first taken.

    Damaged files fail whoever takes images of their split, with a reason that names the file; here they are a warning.

    Args:
        root: the data root.
        cache: where decoded images and digests of files are kept.
        told: whether the user was told already what lies in its folders and is left out.
        fingerprints: digests of files; those of the cache if None.

    Raises:
        DatasetNotFound: nothing below the data root.
        UsageError: a wrong card, one that is like no dataset of its shape, or fewer images than the card says.
    """
    card = load_card(registry, name_or_path)
    found = find_source(registry, name_or_path, card, root)
    known = known_as(registry, card, len(found.source.classes))
    fingerprints = fingerprints or Fingerprints.below(cache)
    content = fingerprints.of_source(found.source)
    code = registry.find("reader", found.card.layout).code
    images = ImageCache(cache / "images" / f"{card.name}-{_key(card, found, content, code)}", progress)
    for note in () if told else found.source.notes:
        progress.warn(f"{card.name}: {note}")
    with answers_of(registry, "reader", found.card.layout):
        splits = _open_splits(card, found, images, fingerprints, progress)
    described = _described(card, found.source.classes, known, splits)
    card_hash = _hash(name_or_path, card, found, content)
    return replace(described, card_hash=card_hash, source=found.card.layout, source_differs=found.card.differs)


def as_its_card_says(registry: Registry, name_or_path: str, absent: DatasetNotFound) -> Dataset:
    """A dataset whose files are elsewhere, to plan runs with: no image of it is known, nor which source it has.

    Args:
        absent: that it is not here.

    Raises:
        DatasetNotFound: its card does not say all that runs are known by: its classes, or the content of a user's own
            dataset.
    """
    card = load_card(registry, name_or_path)
    if card.order is None or is_path(name_or_path):
        lacking = "content is part of what a run is" if is_path(name_or_path) else "card does not list its classes"
        raise DatasetNotFound(f"{absent} (its {lacking}, so it must be here)") from absent
    splits: dict[SplitName, Split] = {name: UnavailableSplit(str(absent), damaged=False) for name in SPLITS}
    return _described(card, card.order, known_as(registry, card, len(card.order)), splits)


def _described(
    card: DatasetCard, classes: tuple[str, ...], known: str | None, splits: Mapping[SplitName, Split]
) -> Dataset:
    """What a card says of its dataset."""
    return Dataset(
        name=card.name,
        card_hash=card.hash(),
        resolution=card.resolution,
        channels=card.channels,
        classes=classes,
        class_names=tuple(card.class_names.get(each, each) for each in classes),
        normalisation=Normalisation(card.mean, card.std),
        known_as=known,
        train=splits["train"],
        test=splits["test"],
        split=str(card.split) if card.split else None,
        elsewhere=card.elsewhere,
    )


def _hash(name_or_path: str, card: DatasetCard, found: FoundSource, content: str) -> str:
    """What stages and runs know the dataset by.

    A registered dataset is what its name says; a user's card describes files that may change under it, and a source
    that differs from the card's others is known by what it holds alone.
    """
    if found.card.differs is not None:
        return digest([card.hash(), content, found.card.content()])
    return digest([card.hash(), content]) if is_path(name_or_path) else card.hash()


def _open_splits(
    card: DatasetCard, found: FoundSource, images: ImageCache, fingerprints: Fingerprints, progress: Progress
) -> dict[SplitName, Split]:
    """Both splits, the test split cut out of train where the card says so; a damaged one is a warning."""

    def split(name: SplitName) -> Split:
        try:
            return _open_split(card, found, name, images, fingerprints)
        except RunFailure as failure:
            progress.warn(f"{card.name}: {failure}")
            return UnavailableSplit(str(failure), damaged=True)

    splits = _cut(card.split, split("train"), found.source) if card.split else {name: split(name) for name in SPLITS}
    for name, each in splits.items():
        if not isinstance(each, UnavailableSplit):
            check_count(card, found.source, name, len(each))
    return splits


def _cut(split: SplitCard, train: Split, source: Source) -> dict[SplitName, Split]:
    """Train without what becomes the test split, and that; both as train is where it is not to be had."""
    if isinstance(train, UnavailableSplit):
        return dict.fromkeys(SPLITS, train)
    parts = cut(split, train.labels, source.classes)
    return {name: Selection(train, indices, train.labels[indices]) for name, indices in parts.items()}


def _open_split(
    card: DatasetCard, found: FoundSource, name: SplitName, images: ImageCache, fingerprints: Fingerprints
) -> Split:
    """One split of a located dataset: kept decoded, streamed if it is large, or missing.

    Raises:
        RunFailure: a damaged file.
    """
    source, view = found.source, DecodedForm.of(card)
    if name not in source.files:
        return UnavailableSplit(missing_split(card, found, name), damaged=False)
    fingerprints.verify(source, name, _again(found, card))
    decoder = Decoder(found.reader, source, name, view)
    labels = images.labels(name)
    if labels is None:
        labels = labels_of(found.reader, source, name)
    size = len(labels) * view.image_bytes
    if size > max(STREAM_ABOVE, decoded_bytes()):
        return StreamedSplit(decoder, labels)
    return CachedSplit(decoder, labels, images, large=size > STREAM_ABOVE)


def decoded_bytes() -> float:
    """Bytes of a split up to which the user wants decoded copies kept on disk: BENCH_DECODED_GB, in 10^9 bytes.

    Raises:
        UsageError: it is no number.
    """
    return number_set("BENCH_DECODED_GB", 0, "takes gigabytes, as 200") * 1e9


def missing_split(card: DatasetCard, found: FoundSource, name: SplitName) -> str:
    """What to say of a split that is not there: what was looked for, where the reader's options name it."""
    names = getattr(found.reader.Options.model_validate(found.card.options), name, None)
    looked = f": looked for {', '.join(names)}" if names else ""
    remedy = "; a card may cut it out of train: split = { test = 0.2, seed = 0 }" if name == "test" else ""
    where = f"below {found.source.root} (layout {found.source.layout})"
    return f"dataset {card.name!r} has no {name} images {where}{looked}{remedy}"


def check_count(card: DatasetCard, source: Source, name: SplitName, count: int) -> None:
    """Refuses another number of images than the card says; a missing shard would otherwise pass unseen."""
    expected = card.images.get(name)
    if expected is not None and count != expected:
        raise UsageError(
            f"dataset {card.name!r} has {count} {name} images below {source.root} (layout {source.layout}); "
            f"its card says {expected}: are files missing?"
        )


def _key(card: DatasetCard, found: FoundSource, content: str, code: str) -> str:
    """What decoded images depend on, as 16 hex digits; `code` is of the reader's plugin, where it is a stranger's."""
    view, source = DecodedForm.of(card), found.source
    shape = [view.channels, view.resolution, view.resize, *([view.depth] if view.depth else [])]
    options = {name: str(value) for name, value in source.options.items()}
    versions = [VERSION, found.reader.version, *([code] if code else [])]
    return digest([content, source.layout, versions, options, list(source.classes), shape])[:16]


def _again(found: FoundSource, card: DatasetCard) -> str:
    return f"; bench data fetch {card.name} gets it again" if found.reader.fetches(card, found.card) else ""
