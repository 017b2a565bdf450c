"""A folder for each split, in it a folder for each class, in that images (at any depth)."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from bench.data.datasets import DatasetCard, Reader, Source, SourceCard, SplitName
from bench.data.folders import Walk, holding_images, notes, require_target
from bench.data.places import SPLITS, Place, Places, chosen
from bench.errors import RunFailure, UsageError, why
from bench.storage.regular_files import read_regular

_A_FEW = 2  # class folders, as many as a dataset has at least
LARGEST = 1 << 28  # bytes of an image file; the largest photographs have a tenth of it


class ImageFolderOptions(BaseModel):
    """What a source card may say.

    Attributes:
        path: the folder that holds the splits, below the data root or beside the card.
        train, test: names of the splits' folders. A list that a card gives is a union: the images of all of them, each
            of which must hold some. Of the names that stand here the first that holds images counts.
        subset: the card's `class_ids` are some of the classes that lie there, and the folders of others are left out.
        test_names: which files of `train`'s folders are the test images, by a pattern of their names; `test` then names
            no folder. For archives that mix the splits of a dataset whose files tell them apart.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: Place = "."
    train: Places = ("train",)
    test: Places = ("test", "val", "valid", "validation")
    subset: bool = False
    test_names: str = ""

    @model_validator(mode="after")
    def _one_way_to_the_test_images(self) -> "ImageFolderOptions":
        if self.test_names and "test" in self.model_fields_set:
            raise ValueError("test and test_names are two ways to say where the test images are; keep one")
        return self


@dataclass(frozen=True)
class Folder:
    """One folder of a split: its name below the folder of the splits, and the images of each class folder in it."""

    name: str
    images: dict[str, list[Path]]
    walk: Walk

    @classmethod
    def read(cls, base: Path, name: str, only: Collection[str] | None = None) -> "Folder":
        """Walks it, or `only` some class folders in it; one that is not there holds nothing."""
        walk = Walk()
        require_target(base / name)
        return cls(name, walk.classes(base / name, only) if (base / name).is_dir() else {}, walk)

    @property
    def classes(self) -> set[str]:
        """The names of the class folders with images."""
        return {name for name, images in self.images.items() if images}

    def __bool__(self) -> bool:
        return bool(self.classes)


class ImageFolderReader(Reader):
    """Reads it. Class ids are the card's, or else the names of the class folders of the training split.

    Hidden files, what systems leave in folders, and links back to a folder that they lie in are left out and counted.
    """

    Options = ImageFolderOptions

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """A class folder of each split that has folders of its own."""
        options = ImageFolderOptions.model_validate(source.options)
        named = (options.train,) if options.test_names else (options.train, options.test)
        return " or ".join(str(Path(options.path, names[0], "CLASS")) for names in named if names)

    def advice(self, card: DatasetCard, source: SourceCard, root: Path) -> str:
        """Where class folders lie without those of splits above them."""
        options = ImageFolderOptions.model_validate(source.options)
        names = [] if "train" in options.model_fields_set else holding_images(root / options.path)
        if len(names) < _A_FEW:
            return ""
        cut = "" if card.split else "; split = { test = 0.2 } in the card cuts a test split out of them"
        few = ", ".join([*names[:_A_FEW], *(["..."] if len(names) > _A_FEW else [])])
        return f'{root / options.path} holds images in {few}: options = {{ train = "." }} reads these as classes{cut}'

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """Either split's folders; lists the files."""
        options = ImageFolderOptions.model_validate(source.options)
        base, read = root / options.path, list[Folder]()
        only = _some_of(card) if options.subset else None

        def folder(name: str) -> Folder:
            read.append(Folder.read(base, name, only))
            return read[-1]

        looked = SPLITS[:1] if options.test_names else SPLITS
        folders = {split: chosen(options, split, folder, base) for split in looked}
        if not any(folders.values()):
            return None
        _refuse_shared(base, [each for found in folders.values() for each in found])
        classes = card.order or _classes(folders["train"], folders.get("test", ()))
        files = {split: _files(base, each, classes) for split, each in folders.items() if each}
        if options.test_names:
            files, folders = _told_apart(files["train"], options.test_names), dict.fromkeys(SPLITS, folders["train"])
        about: dict[str, Any] = {"folders": {split: [each.name for each in folders[split]] for split in files}}
        if options.test_names:  # the same folders, whose files another pattern would divide otherwise
            about["test_names"] = options.test_names
        said = notes(base, [each.walk for each in read])
        return Source(source.layout, base, files, classes, about, notes=said)

    def labels(self, source: Source, split: SplitName) -> Tensor:
        """From the names of the class folders."""
        rank = {name: index for index, name in enumerate(source.classes)}
        folders = [(source.root / name).parts for name in source.options["folders"][split]]
        return torch.tensor([rank[_class_of(path, folders)] for path in source.files[split]], dtype=torch.int64)

    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """Reads the files."""
        for index in indices:
            path = source.files[split][index]
            try:
                yield str(path), read_regular(path, LARGEST)
            except OSError as error:
                raise RunFailure(f"corrupt image: {path} cannot be read: {why(error)}") from error


def _some_of(card: DatasetCard) -> Collection[str]:
    if card.class_ids is None:
        raise UsageError(f"the card of {card.name} says subset, and no class_ids to be the subset")
    return frozenset(card.class_ids)


def _told_apart(files: Sequence[Path], test_names: str) -> dict[SplitName, tuple[Path, ...]]:
    """The splits of files whose names say which they are of; one without any is not there."""
    test = tuple(path for path in files if fnmatchcase(path.name, test_names))
    train = tuple(path for path in files if not fnmatchcase(path.name, test_names))
    found: dict[SplitName, tuple[Path, ...]] = {"train": train, "test": test}
    return {split: paths for split, paths in found.items() if paths}


def _classes(train: Sequence[Folder], test: Sequence[Folder]) -> tuple[str, ...]:
    """A folder of the training split is a class, with or without images; one that only the test split has, with."""
    return tuple(
        sorted({name for each in train for name in each.images} | {name for each in test for name in each.classes})
    )


def _files(base: Path, folders: Sequence[Folder], classes: Sequence[str]) -> tuple[Path, ...]:
    """The images of these classes; a folder that is no class means that the layout or the card is another."""
    known = set(classes)
    if stray := [base / each.name / name for each in folders for name in sorted(each.classes - known)]:
        raise UsageError(f"{stray[0]} is no class of this dataset ({len(stray)} such folders)")
    return tuple(path for name in sorted(classes) for each in folders for path in each.images.get(name, ()))


def _class_of(path: Path, folders: Sequence[tuple[str, ...]]) -> str:
    parts = path.parts
    return next(parts[len(above)] for above in folders if parts[: len(above)] == above)


def _refuse_shared(base: Path, folders: Sequence[Folder]) -> None:
    for one, other in combinations(folders, 2):
        if shared := one.walk.in_common(other.walk):
            raise UsageError(f"{base / one.name} and {base / other.name} share images ({shared}); each is of one split")
