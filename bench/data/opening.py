"""From a dataset's name, or a user's own card, to a dataset ready for use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data.cards import DatasetCard, SourceCard, SplitCard, SplitName, is_path, read_card, validated
from bench.data.class_selection import select_classes as select_classes
from bench.data.datasets import Dataset, Fetch, Normalisation, Reader, Selection, Source, Split
from bench.data.decoding import DecodedForm, Decoder
from bench.data.fingerprints import Fingerprints
from bench.data.folders import require_utf8
from bench.data.held_out import cut
from bench.data.identity import known_as
from bench.data.image_cache import ImageCache
from bench.data.places import SPLITS
from bench.data.splits import CachedSplit, StreamedSplit, UnavailableSplit
from bench.errors import RunFailure, UsageError, why
from bench.extensions.answers import answers_of
from bench.extensions.registry import Registry
from bench.progress import Progress
from bench.storage.files import digest
from bench.storage.names import unknown
from bench.storage.settings import number_set

# Bytes of decoded pixels in a split above which they are not kept unless the user says so, and never held in memory;
# 110,000 × 3 × 64 × 64: 1.35e9
STREAM_ABOVE = 4 << 30


class NotHere(UsageError):
    """None of a dataset's sources is where it was looked for."""


@dataclass(frozen=True)
class FoundSource:
    """A layout of the dataset that is there; as text what it is, where, and in what it differs from the others."""

    reader: Reader
    card: SourceCard
    source: Source

    def __str__(self) -> str:
        differs = f": {self.card.differs}" if self.card.differs else ""
        return f"{self.card.layout} below {self.source.root}{differs}"


def load_card(registry: Registry, name_or_path: str) -> DatasetCard:
    """The card of a registered dataset, or of the TOML file at a path.

    Raises:
        UsageError: unknown name, no such file, or a missing, unknown or wrong field; one line that names the nearest.
    """
    if is_path(name_or_path):
        return read_card(Path(name_or_path))
    if not registry.has("dataset", name_or_path) and (cards := sorted(Path(name_or_path).glob("*.toml"))):
        raise UsageError(f"{name_or_path!r} is a folder; a dataset of your own is named by its card: {cards[0]}")
    return read_card(Path(registry.load("dataset", name_or_path)))


def find_source(registry: Registry, name_or_path: str, card: DatasetCard, root: Path) -> FoundSource:
    """The first of the card's sources that is there.

    Looked for below the folder of a user's own card, then below the data root.

    Raises:
        NotHere: none is there; it says what was looked for in each layout, and how to get it.
        UsageError: a source's options are not those its reader takes.
    """
    own = [Path(name_or_path).parent] if is_path(name_or_path) else []
    roots, looked_for = [*own, root], []
    for number, source_card in enumerate(card.sources):
        reader = _reader(registry, card, number)
        with answers_of(registry, "reader", source_card.layout):
            for folder in roots:
                if (source := _located(reader, card, source_card, folder.absolute())) is not None:
                    return FoundSource(reader, source_card, _noted(_checked(card, source), source_card))
            looked_for.append(f"{reader.looked_for(card, source_card) or 'nothing'} ({source_card.layout})")
    where = " or ".join(str(folder) for folder in roots)
    remedy = _remedy(card, bool(fetchable(registry, card)), root)
    raise NotHere(f"dataset {card.name!r} is not below {where}: looked for {'; '.join(looked_for)}. {remedy}")


def fetchable(registry: Registry, card: DatasetCard) -> Sequence[Fetch]:
    """The official downloads of the first of the card's sources that has some; none where none has."""
    offered = (_fetches(registry, card, number) for number in range(len(card.sources)))
    return next((fetches for fetches in offered if fetches), [])


def _fetches(registry: Registry, card: DatasetCard, number: int) -> Sequence[Fetch]:
    source = card.sources[number]
    reader = _reader(registry, card, number)
    with answers_of(registry, "reader", source.layout):
        return reader.fetches(card, source)


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
        NotHere: nothing below the data root.
        UsageError: a wrong card, one that is like no dataset of its shape, or fewer images than the card says.
    """
    card = load_card(registry, name_or_path)
    found = find_source(registry, name_or_path, card, root)
    known = known_as(registry, card, len(found.source.classes))
    fingerprints = fingerprints or Fingerprints.below(cache)
    content = fingerprints.of_source(found.source)
    images = ImageCache(cache / "images" / f"{card.name}-{_key(card, found, content)}", progress)
    for note in () if told else found.source.notes:
        progress.warn(f"{card.name}: {note}")
    with answers_of(registry, "reader", found.card.layout):
        splits = _open_splits(card, found, images, fingerprints, progress)
    described = _described(card, found.source.classes, known, splits)
    card_hash = _hash(name_or_path, card, found, content)
    return replace(described, card_hash=card_hash, source=found.card.layout, source_differs=found.card.differs)


def as_its_card_says(registry: Registry, name_or_path: str, absent: NotHere) -> Dataset:
    """A dataset whose files are elsewhere, to plan runs with: no image of it is known, nor which source it has.

    Args:
        absent: that it is not here.

    Raises:
        NotHere: its card does not say all that runs are known by: its classes, or the content of a user's own dataset.
    """
    card = load_card(registry, name_or_path)
    if card.order is None or is_path(name_or_path):
        lacking = "content is part of what a run is" if is_path(name_or_path) else "card does not list its classes"
        raise NotHere(f"{absent} (its {lacking}, so it must be here)") from absent
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
        labels = found.reader.labels(source, name)
    size = len(labels) * view.image_bytes
    if size > max(STREAM_ABOVE, _kept()):
        return StreamedSplit(decoder, labels)
    return CachedSplit(decoder, labels, images, large=size > STREAM_ABOVE)


def _kept() -> float:
    """Bytes of a split up to which the user wants decoded copies kept on disk: BENCH_DECODED_GB, in 10^9 bytes.

    Raises:
        UsageError: it is no number.
    """
    return number_set("BENCH_DECODED_GB", 0, "takes gigabytes, as 200") * 1e9


def _reader(registry: Registry, card: DatasetCard, number: int) -> Reader:
    """The reader of the card's numbered source, its options checked."""
    source = card.sources[number]
    if not registry.has("reader", source.layout):
        layouts = registry.names("reader")
        raise UsageError(f"dataset card {card.name!r}, sources.{number}: {unknown('layout', source.layout, layouts)}")
    with answers_of(registry, "reader", source.layout):
        reader: Reader = registry.load("reader", source.layout)()
    validated(reader.Options, source.options, f"dataset card {card.name!r}, sources.{number}.options")
    return reader


def _located(reader: Reader, card: DatasetCard, source_card: SourceCard, folder: Path) -> Source | None:
    try:
        return reader.locate(card, source_card, folder)
    except RunFailure as failure:
        raise UsageError(f"the classes of {card.name} cannot be known: {failure}") from failure
    except OSError as error:
        raise UsageError(f"dataset {card.name!r}: {error.filename or folder} cannot be read: {why(error)}") from error


def _noted(source: Source, card: SourceCard) -> Source:
    """With a note for the user where its images are not the other sources'."""
    said = () if card.differs is None else (f"read from {source.root} ({card.layout}): {card.differs}",)
    return replace(source, notes=(*said, *source.notes))


def _checked(card: DatasetCard, source: Source) -> Source:
    """The source, if its classes are the card's and it has not both a test split and a card that cuts one."""
    require_utf8(source.root)
    if card.split is not None and "test" in source.files:
        raise UsageError(
            f"the card of {card.name} cuts a test split out of train, and {source.root} has one of its own "
            f"({len(source.files['test'])} files): leave out split, or say test = [] in the source's options"
        )
    if card.classes is not None and len(source.classes) != card.classes:
        raise UsageError(
            f"{source.root} has {len(source.classes)} classes; the card of {card.name} says {card.classes}"
        )
    if len(source.classes) < 2:
        raise UsageError(f"{source.root} has only the class {', '.join(source.classes)}; a dataset needs two or more")
    if card.order is not None and source.classes != card.order:
        stray = sorted(set(source.classes) ^ set(card.order))
        raise UsageError(
            f"the classes of {source.root} are not those of the card of {card.name}: {', '.join(stray[:3])}"
        )
    if unknown_names := sorted(card.class_names.keys() - set(source.classes)):
        raise unknown(f"class in class_names of the card of {card.name}", unknown_names[0], source.classes)
    return source


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


def _key(card: DatasetCard, found: FoundSource, content: str) -> str:
    """What decoded images depend on, as 16 hex digits."""
    view, source = DecodedForm.of(card), found.source
    shape = [view.channels, view.resolution, view.resize, *([view.depth] if view.depth else [])]
    options = {name: str(value) for name, value in source.options.items()}
    return digest([content, source.layout, found.reader.version, options, list(source.classes), shape])[:16]


def _remedy(card: DatasetCard, can_fetch: bool, root: Path) -> str:
    if can_fetch:
        return f"To get it: bench data fetch {card.name} --data-root {root}"
    return f"To get it: {card.homepage}" if card.homepage else "Name its folder with --data-root or BENCH_DATA"


def _again(found: FoundSource, card: DatasetCard) -> str:
    return f"; bench data fetch {card.name} gets it again" if found.reader.fetches(card, found.card) else ""
