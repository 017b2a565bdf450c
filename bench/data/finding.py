"""From a dataset's name, or a user's own card, to the one of its sources that is there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data.cards import DatasetCard, SourceCard, check_dataset, is_path, read_card
from bench.data.datasets import Fetch, Reader, Source
from bench.data.folders import require_utf8
from bench.data.identity import offered_card
from bench.errors import RunFailure, UsageError, why
from bench.extensions.answers import answers_of
from bench.extensions.registry import Registry
from bench.storage.names import unknown
from bench.storage.users_toml import validated


class DatasetNotFound(UsageError):
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
    check_dataset(registry, name_or_path)
    return read_card(Path(name_or_path)) if is_path(name_or_path) else offered_card(registry, name_or_path)


def find_source(registry: Registry, name_or_path: str, card: DatasetCard, root: Path) -> FoundSource:
    """The first of the card's sources that is there.

    Looked for below the folder of a user's own card, then below the data root.

    Raises:
        DatasetNotFound: none is there; it says what was looked for in each layout, and how to get it.
        UsageError: a source's options are not those its reader takes.
    """
    own = [Path(name_or_path).parent] if is_path(name_or_path) else []
    roots, looked_for = [*own, root], []
    for number, source_card in enumerate(card.sources):
        reader = reader_of(registry, card, number)
        with answers_of(registry, "reader", source_card.layout):
            for folder in roots:
                if (source := _located(reader, card, source_card, folder.absolute())) is not None:
                    return FoundSource(reader, source_card, _noted(_checked(card, source), source_card))
            looked_for.append(f"{reader.looked_for(card, source_card) or 'nothing'} ({source_card.layout})")
    where = " or ".join(str(folder) for folder in roots)
    remedy = next(_advices(registry, card, own), _remedy(card, bool(fetchable(registry, card)), root))
    raise DatasetNotFound(f"dataset {card.name!r} is not below {where}: looked for {'; '.join(looked_for)}. {remedy}")


def fetchable(registry: Registry, card: DatasetCard) -> Sequence[Fetch]:
    """The official downloads of the first of the card's sources that has some; none where none has."""
    offered = (_fetches(registry, card, number) for number in range(len(card.sources)))
    return next((fetches for fetches in offered if fetches), [])


def _fetches(registry: Registry, card: DatasetCard, number: int) -> Sequence[Fetch]:
    source = card.sources[number]
    reader = reader_of(registry, card, number)
    with answers_of(registry, "reader", source.layout):
        return reader.fetches(card, source)


def _advices(registry: Registry, card: DatasetCard, folders: Sequence[Path]) -> Iterator[str]:
    """What would have the files in a user's own folders read after all."""
    for number, source in enumerate(card.sources):
        reader = reader_of(registry, card, number)
        with answers_of(registry, "reader", source.layout):
            advices = [reader.advice(card, source, folder.absolute()) for folder in folders]
        yield from filter(None, advices)


def reader_of(registry: Registry, card: DatasetCard, number: int) -> Reader:
    """The reader of the card's numbered source, its options checked.

    Raises:
        UsageError: an unknown layout, or an option that is none; one line that names the nearest.
    """
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


def _remedy(card: DatasetCard, can_fetch: bool, root: Path) -> str:
    if can_fetch:
        return f"To get it: bench data fetch {card.name} --data-root {root}"
    return f"To get it: {card.homepage}" if card.homepage else "Name its folder with --data-root or BENCH_DATA"
