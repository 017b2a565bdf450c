"""Tiny-ImageNet-200 as it was published: the zip file, or the folder it holds.

    wnids.txt                              the 200 WordNet ids, not sorted
    train/<wnid>/images/<wnid>_<i>.JPEG    500 a class
    val/images/val_<i>.JPEG                50 a class, whose classes are in
    val/val_annotations.txt                file, wnid and a box, tab-separated

The unlabelled images of its `test` folder are not used: `val` is the test split, as in every paper. A class's index is
the rank of its id in sorted order; other orders are a known cause of sets that evaluate at chance (LINs-lab/RDED
issues 3 and 4).
"""

import zlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from bench.data.datasets import DatasetCard, Reader, Source, SourceCard, SplitName
from bench.data.folders import Walk, is_dropping, notes
from bench.data.places import Place
from bench.errors import RunFailure, UsageError
from bench.storage.names import brief
from bench.storage.users_files import regular

Labelled = tuple[tuple[str, str], ...]  # (name of the image's file, WordNet id)

ANNOTATIONS = "val/val_annotations.txt"


class ZipOptions(BaseModel):
    """`file`: the archive, below the data root."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: Place = "tiny-imagenet-200.zip"


class FolderOptions(BaseModel):
    """`path`: the extracted folder, below the data root."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: Place = "tiny-imagenet-200"


class _Official(Reader):
    """What the two have in common: names relative to the archive's folder, and which class each is of."""

    def __init__(self) -> None:
        self._tables: dict[tuple[Path, SplitName], Labelled] = {}

    @abstractmethod
    def _names(self, source: Source) -> Iterable[str]:
        """The names of all files."""

    @abstractmethod
    def _content(self, source: Source, name: str) -> bytes:
        """The bytes of a file."""

    def labels(self, source: Source, split: SplitName) -> Tensor:
        """From the names of training images; from the annotations of validation images."""
        rank = {name: index for index, name in enumerate(source.classes)}
        table = self._table(source, split)
        if stray := [(name, wnid) for name, wnid in table if wnid not in rank]:
            raise RunFailure(f"corrupt file: {source.root}: {stray[0][0]} has the class {stray[0][1]!r}, which is none")
        return torch.tensor([rank[wnid] for _, wnid in table], dtype=torch.int64)

    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """Reads the files."""
        table = self._table(source, split)
        for index in indices:
            name = table[index][0]
            yield f"{name} of {source.root}", self._read(source, name)

    def _table(self, source: Source, split: SplitName) -> Labelled:
        """Every image of the split, made once: training images by name, validation images as they are annotated."""
        key = source.root, split
        if key not in self._tables:
            self._tables[key] = self._train_table(source) if split == "train" else self._test_table(source)
        return self._tables[key]

    def _train_table(self, source: Source) -> Labelled:
        parts = (name.split("/") for name in sorted(self._names(source)))
        return tuple(("/".join(each), each[1]) for each in parts if len(each) == 4 and each[0] == "train")

    def _test_table(self, source: Source) -> Labelled:
        return _annotated(self._read(source, ANNOTATIONS), source)

    def _read(self, source: Source, name: str) -> bytes:
        try:
            return self._content(source, name)
        except UsageError as error:
            raise RunFailure(f"corrupt file: {error}") from error
        except (OSError, EOFError, KeyError, RuntimeError, BadZipFile, zlib.error) as error:  # encrypted: RuntimeError
            raise RunFailure(f"corrupt file: {name} of {source.root} cannot be read: {error}") from error


class ZipReader(_Official):
    """Reads the archive without extracting it, once its checksum (that of the card's `fetch`) has been verified."""

    Options = ZipOptions

    def __init__(self) -> None:
        super().__init__()
        self._opened: dict[Path, tuple[ZipFile, str]] = {}

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """The archive."""
        return ZipOptions.model_validate(source.options).file

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """The archive; it is opened only where the card does not list the classes."""
        path = root / ZipOptions.model_validate(source.options).file
        if not path.is_file():
            return None
        checksums = {path: source.fetch.checksum} if source.fetch else {}
        files: dict[SplitName, tuple[Path, ...]] = {"train": (path,), "test": (path,)}
        found = Source(source.layout, path, files, card.order or (), {}, checksums)
        return found if found.classes else replace(found, classes=_ids(self._read(found, "wnids.txt"), path))

    def _names(self, source: Source) -> Iterable[str]:
        archive, prefix = self._archive(source)
        return (name.removeprefix(prefix) for name in _members(archive) if name.endswith(".JPEG"))

    def _content(self, source: Source, name: str) -> bytes:
        archive, prefix = self._archive(source)
        return archive.read(prefix + name)

    def _archive(self, source: Source) -> tuple[ZipFile, str]:
        """The archive, kept open (reading a ZipFile is safe in threads), and the name of the folder it holds."""
        if source.root not in self._opened:
            archive = ZipFile(source.root)
            prefix = next((name for name in _members(archive) if name.endswith("wnids.txt")), "wnids.txt")
            self._opened[source.root] = archive, prefix.removesuffix("wnids.txt")
        return self._opened[source.root]


class FolderReader(_Official):
    """Reads the extracted archive."""

    Options = FolderOptions

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        """The annotations, which other arrangements of the folder lack."""
        return str(Path(FolderOptions.model_validate(source.options).path, ANNOTATIONS))

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        """The folder with its annotations and the images they are about; lists the files."""
        folder = root / FolderOptions.model_validate(source.options).path
        if not ((folder / ANNOTATIONS).is_file() and (folder / "val/images").is_dir() and (folder / "train").is_dir()):
            return None
        walk = Walk()
        files: dict[SplitName, tuple[Path, ...]] = {
            "train": tuple(walk.images(folder / "train")),
            "test": (folder / ANNOTATIONS, *walk.images(folder / "val/images")),
        }
        if len(files["test"]) == 1:
            return None  # its images were moved into class folders: an image folder, not this layout
        classes = card.order or _ids(regular(folder / "wnids.txt").read_bytes(), folder / "wnids.txt")
        return Source(source.layout, folder, files, classes, notes=notes(folder, [walk]))

    def _names(self, source: Source) -> Iterable[str]:
        start = len(str(source.root)) + 1
        return (str(path)[start:] for path in source.files["train"])

    def _content(self, source: Source, name: str) -> bytes:
        return regular(source.root / name).read_bytes()


def _members(archive: ZipFile) -> list[str]:
    """The names in an archive, without what macOS and others add when they pack one anew."""
    return [name for name in archive.namelist() if not any(map(is_dropping, name.split("/")))]


def _ids(wnids: bytes, where: Path) -> tuple[str, ...]:
    return tuple(sorted(_text(wnids, where).split()))


def _annotated(text: bytes, source: Source) -> Labelled:
    """File and id of every line. Raises RunFailure for one that holds no two."""
    rows = [line.split("\t") for line in _text(text, source.root / ANNOTATIONS).splitlines() if line.strip()]
    if short := [row for row in rows if len(row) < 2]:
        raise RunFailure(f"corrupt file: {source.root}: a line of {ANNOTATIONS} has no class: {brief(short[0][0])}")
    return tuple((f"val/images/{row[0]}", row[1]) for row in rows)


def _text(content: bytes, where: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise RunFailure(f"corrupt file: {where}: {error}") from error
