"""Images in a layout that a dataset's reader knows: folders by class, Parquet files, shards."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bench.condensation import ImageFiles, Images
from bench.data.cards import DatasetCard, SourceCard
from bench.data.datasets import Dataset, Reader, Source
from bench.data.decoding import DecodedForm, Decoder, form_of, size_of
from bench.data.labels import labels_of
from bench.errors import UsageError
from bench.interchange import class_order
from bench.interchange.handwritten import HandWritten
from bench.interchange.parts import Part
from bench.storage.files import file_digest
from bench.storage.names import brief
from bench.storage.paging import assembled, in_a_piece
from bench.storage.run_folder import MANIFEST
from bench.storage.users_files import plain_name
from bench.storage.users_toml import validated

Readers = Callable[[str], type[Reader]]
LOOKED_AT = 64  # images whose size is looked at


def from_layout(folder: Path, hand: HandWritten, card: SourceCard, dataset: Dataset, readers: Readers) -> Part:
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
    labels = labels_of(reader, source, "train")
    order = class_order.of_names(source.classes, reader.label_order(source), hand.classes, dataset, str(folder))
    decoder = Decoder(reader, source, "train", DecodedForm.of(plain))
    some, weighed = torch.arange(len(labels)).split(in_a_piece(decoder.view.image_bytes)), list[tuple[int, str]]()

    def weigh(encoded: Any) -> None:  # noqa: ANN401 - see Reader.encoded
        weighed.append((memoryview(encoded).nbytes, form_of(encoded)))

    pixels = assembled(((places, decoder.decode(places.tolist(), weigh)) for places in some), len(labels))
    notes = (*source.notes, *_scaled(reader, source, len(labels), dataset))
    return Part(Images(pixels, labels), order, files, notes, _files_of(weighed))


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
