"""A folder for each split, in it a folder for each class, in that images (at any depth)."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict
from torch import Tensor

from bench.errors import RunFailure, UsageError
from bench.imagery import DatasetCard, Reader, Source, SourceCard, SplitName

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}

Names = Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)]


class ImageFolderOptions(BaseModel):
    """What a source card may say.

    Attributes:
        path: the folder that holds the splits, below the data root or beside the card.
        train, test: names of the splits' folders; the first that is there counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: str = "."
    train: Names = ("train",)
    test: Names = ("test", "val", "valid", "validation")


class ImageFolderReader(Reader):
    """Reads it. Class ids are the card's, or else the names of the class folders."""

    Options = ImageFolderOptions

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """A class folder of either split."""
        options = ImageFolderOptions.model_validate(source.options)
        return " or ".join(str(Path(options.path, names[0], "CLASS")) for names in (options.train, options.test))

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """Either split's folder; lists the files."""
        options = ImageFolderOptions.model_validate(source.options)
        wanted: dict[SplitName, Names] = {"train": options.train, "test": options.test}
        folders = {
            split: folder for split, names in wanted.items() if (folder := _existing(root / options.path, names))
        }
        classes = card.order or tuple(sorted({name for folder in folders.values() for name in _folders(folder)}))
        listed = {split: _images_of(folder, classes) for split, folder in folders.items()}
        files = {split: images for split, images in listed.items() if images}
        if not files:
            return None
        base = root / options.path
        about = {"folders": {split: str(folder.relative_to(base)) for split, folder in folders.items()}}
        return Source(source.layout, base, files, classes, about)

    def labels(self, source: Source, split: SplitName) -> Tensor:
        """From the names of the class folders."""
        rank = {name: index for index, name in enumerate(source.classes)}
        depth = len((source.root / source.options["folders"][split]).parts)
        return torch.tensor([rank[path.parts[depth]] for path in source.files[split]], dtype=torch.int64)

    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """Reads the files."""
        for index in indices:
            path = source.files[split][index]
            try:
                yield str(path), path.read_bytes()
            except OSError as error:
                raise RunFailure(f"corrupt image: {path} cannot be read: {error.strerror}") from error


def images_below(folder: Path) -> Iterator[Path]:
    """Every image file below a folder, in sorted order, folder by folder."""
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            yield from images_below(Path(entry.path))
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122 - a Path for every entry costs more
            yield Path(entry.path)


def _existing(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _folders(split: Path) -> list[str]:
    """The folders that hold images; moving images about leaves empty ones behind."""
    return sorted(path.name for path in split.iterdir() if path.is_dir() and next(images_below(path), None))


def _images_of(split: Path, classes: Sequence[str]) -> tuple[Path, ...]:
    """The images of these classes; a folder that is no class means that the layout or the card is another."""
    if stray := sorted(set(_folders(split)) - set(classes)):
        raise UsageError(f"{split / stray[0]} is no class of this dataset ({len(stray)} such folders)")
    return tuple(path for name in sorted(classes) if (split / name).is_dir() for path in images_below(split / name))
